"""``install``, ``uninstall`` and ``is_installed``, and what is contained."""

from __future__ import annotations

import logging
import subprocess
import sys

import httpx
import pytest
import requests

from recost._capture import add_sink, fault_count, remove_sink, suppressed
from recost.capture import install, is_installed, uninstall
from recost.event import RawEvent


@pytest.fixture(autouse=True)
def _leave_nothing():
    yield
    uninstall()
    assert not is_installed()


def test_the_callback_gets_the_public_form_of_each_call(origin):
    seen: list[RawEvent] = []
    install(seen.append)
    assert is_installed()

    requests.post(f"{origin.url}/status/404?key=secret", data=b"123", timeout=20)

    [event] = seen
    assert isinstance(event, RawEvent)
    assert (event.method, event.url, event.host) == ("POST", f"{origin.url}/status/404", "127.0.0.2")
    assert (event.path, event.status_code, event.error, event.request_bytes) == ("/status/404", 404, True, 3)
    assert event.latency_ms > 0
    assert event.timestamp > 1.6e12


def test_loopback_is_not_excluded(origin):
    seen: list[RawEvent] = []
    install(seen.append)

    with pytest.raises(requests.ConnectionError):
        requests.get("http://localhost:1/x", timeout=20)

    assert [event.host for event in seen] == ["localhost"]


def test_installing_again_replaces_the_callback(origin):
    first: list[RawEvent] = []
    second: list[RawEvent] = []
    install(first.append)
    install(second.append)

    httpx.get(f"{origin.url}/ok")

    assert (len(first), len(second)) == (0, 1)


def test_uninstalling_ends_it_and_may_be_done_twice(origin):
    seen: list[RawEvent] = []
    install(seen.append)
    uninstall()
    uninstall()

    httpx.get(f"{origin.url}/ok")

    assert seen == []


def test_uninstalling_leaves_other_sinks_alone(origin):
    seen: list[object] = []
    others: list[object] = []
    add_sink(others.append)
    install(seen.append)
    uninstall()

    assert is_installed()
    httpx.get(f"{origin.url}/ok")
    remove_sink(others.append)

    assert (len(seen), len(others)) == (0, 1)


def test_what_the_callback_raises_is_contained_and_logged_once(origin, caplog):
    def fail(_event):
        raise RuntimeError("broken callback")

    install(fail)
    with caplog.at_level(logging.WARNING, "recost"):
        for _ in range(3):
            assert httpx.get(f"{origin.url}/ok").status_code == 200

    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info[1].args == ("broken callback",)


def test_calls_of_the_callback_do_not_call_it(origin):
    seen: list[RawEvent] = []

    def report(event):
        seen.append(event)
        if len(seen) < 5:  # it would go on without end
            requests.post(f"{origin.url}/ok/report", timeout=20)
            httpx.post(f"{origin.url}/ok/report")

    install(report)
    httpx.get(f"{origin.url}/ok")
    httpx.get(f"{origin.url}/ok")

    assert [event.path for event in seen] == ["/ok", "/ok"]


def test_suppressed_calls_are_not_captured_and_the_next_ones_are(origin):
    seen: list[RawEvent] = []
    install(seen.append)

    with suppressed():
        requests.get(f"{origin.url}/ok/ours", timeout=20)
        with suppressed():
            httpx.get(f"{origin.url}/ok/ours")
        requests.get(f"{origin.url}/ok/ours", timeout=20)
    httpx.get(f"{origin.url}/ok/theirs")

    assert [event.path for event in seen] == ["/ok/theirs"]


def test_a_sink_that_raises_is_contained_and_counted_and_the_others_hear(origin):
    seen: list[object] = []

    def fail(_event):
        raise RuntimeError

    before = fault_count()
    add_sink(fail)
    try:
        httpx.get(f"{origin.url}/ok")
        assert fault_count() == before + 1
        add_sink(seen.append)
        httpx.get(f"{origin.url}/ok")
        assert (fault_count(), len(seen)) == (before + 2, 1)
    finally:
        remove_sink(fail)
        remove_sink(seen.append)


def test_a_call_that_cannot_be_read_is_counted_and_goes_on(origin):
    """A response of another kind, as mocking tools make them."""

    class Odd(httpx.Client):
        def _send_handling_auth(self, *args, **kwargs):
            return Strange()

    class Strange:
        def read(self):
            pass

    seen: list[RawEvent] = []
    install(seen.append)
    before = fault_count()
    with Odd() as client:
        assert isinstance(client.get(f"{origin.url}/ok"), Strange)

    assert (fault_count(), seen) == (before + 1, [])


def test_a_traceback_shows_the_source_of_our_frame_too():
    """It goes under another name (see ``wrap._not_counted``) and must still be readable.

    In a program of its own: pytest loads the modules of an installed recost itself, and does not give their source.
    """
    program = """
import traceback, httpx, recost
recost.install(lambda event: None)
try:
    httpx.get("http://127.0.0.2:1/")
except httpx.ConnectError as error:
    traceback.print_tb(error.__traceback__)
"""
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr

    assert "response = original(*args, **kwargs)" in told


def test_the_exception_is_the_clients_own(origin):
    """Type, cause and context are what they are without us."""

    def refused():
        try:
            requests.get("http://127.0.0.2:1/", timeout=20)
        except requests.ConnectionError as error:
            return shape(error)

    def shape(error):
        return error and (type(error), shape(error.__cause__), shape(error.__context__), error.__suppress_context__)

    plain = refused()
    install(lambda _event: None)

    assert refused() == plain
