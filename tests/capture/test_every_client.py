"""What holds for every client alike: one event per call, whatever way it ends, with the same fields."""

from __future__ import annotations

import time

import pytest

from recost.event import MAX_PATH
from tests.capture.clients import ALL, ask
from tests.capture.servers import BODY
from tests.harness import closed_port


@pytest.mark.parametrize("client", ALL)
def test_a_call_is_one_event_with_all_its_fields(client, origin, events):
    before_ns = time.time_ns()

    assert ask(client, "POST", f"{origin.url}/ok/items?key=secret#part", b"12345") == 200

    [event] = events
    assert before_ns <= event.at_ns <= time.time_ns()
    assert 0 < event.duration_ns < time.time_ns() - before_ns
    assert (event.method, event.scheme, event.netloc, event.path) == ("POST", "http", origin.netloc, "/ok/items")
    assert (event.status, event.request_bytes, event.response_bytes) == (200, 5, len(BODY))
    assert not event.error


@pytest.mark.parametrize("client", ALL)
def test_methods_are_upper_case(client, origin, events):
    ask(client, "get", f"{origin.url}/ok")

    assert events[0].method == "GET"


@pytest.mark.parametrize("client", ALL)
def test_user_info_never_gets_into_an_event(client, origin, events):
    ask(client, "GET", f"http://user:secret@{origin.netloc}/ok?key=secret")

    assert events[0].netloc == origin.netloc
    assert "secret" not in repr(events)


@pytest.mark.parametrize("client", ALL)
def test_a_host_is_in_lower_case(client, events):
    with closed_port() as port, pytest.raises(Exception, match=r"(?i)refused|connect"):
        ask(client, "GET", f"HTTP://LOCALHOST:{port}/X")

    assert [(event.scheme, event.netloc, event.path) for event in events] == [("http", f"localhost:{port}", "/X")]


@pytest.mark.parametrize("client", ALL)
def test_a_url_without_path_has_the_path_slash(client, origin, events):
    ask(client, "GET", f"{origin.url}?q=1")

    assert events[0].path == "/"


@pytest.mark.parametrize("client", ALL)
def test_a_path_is_kept_as_sent_up_to_its_limit(client, origin, events):
    ask(client, "GET", f"{origin.url}/ok/a%20b/%C3%A4")
    ask(client, "GET", f"{origin.url}/ok/{'x' * 2000}")

    assert events[0].path == "/ok/a%20b/%C3%A4"
    assert events[1].path == "/ok/" + "x" * (MAX_PATH - 4)


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("status", [201, 404, 500])
def test_a_status_is_the_servers_and_errors_are_those_from_400(client, status, origin, events):
    assert ask(client, "GET", f"{origin.url}/status/{status}") == status

    assert [(event.status, event.error) for event in events] == [(status, status >= 400)]


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize(("method", "path"), [("HEAD", "/ok"), ("GET", "/status/204"), ("GET", "/status/304")])
def test_an_answer_without_a_body_has_no_bytes_whatever_its_headers_say(client, method, path, origin, events):
    ask(client, method, origin.url + path)

    assert [event.response_bytes for event in events] == [0]


@pytest.mark.parametrize("client", ALL)
def test_a_refused_connection_is_one_event_without_status(client, events):
    with closed_port("127.0.0.2") as port, pytest.raises(Exception, match=r"(?i)refused|connect"):
        ask(client, "POST", f"http://127.0.0.2:{port}/v1", b"12345")

    [event] = events
    assert (event.status, event.error, event.response_bytes) == (0, True, 0)
    assert (event.netloc, event.path, event.request_bytes) == (f"127.0.0.2:{port}", "/v1", 5)


@pytest.mark.parametrize("client", ALL)
def test_a_timeout_is_one_event_without_status(client, origin, events):
    with pytest.raises(Exception):  # noqa: B017, PT011 - each client has its own
        ask(client, "POST", f"{origin.url}/hang", b"12345", timeout_s=1.0)

    [event] = events
    assert (event.status, event.error, event.request_bytes) == (0, True, 5)
    assert event.duration_ns >= 900_000_000


@pytest.mark.parametrize("client", ALL)
def test_a_connection_that_breaks_is_one_event_without_status(client, origin, events):
    with pytest.raises(Exception):  # noqa: B017, PT011 - each client has its own
        ask(client, "POST", f"{origin.url}/drop", b"12345")

    assert [(event.status, event.request_bytes) for event in events] == [(0, 5)]


@pytest.mark.parametrize("client", ALL)
def test_text_counts_as_the_bytes_it_is_sent_as(client, origin, events):
    texts = ["text"] if client == "requests" else ["text", "größer"]  # some releases announce 6 bytes and send 8
    for text in texts:
        ask(client, "POST", f"{origin.url}/echo", text)

    arrived = origin.received[-len(texts) :]
    assert [event.request_bytes for event in events] == [received.body_bytes for received in arrived]
