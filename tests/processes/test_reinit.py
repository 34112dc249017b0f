"""``init()`` again and again, and at odd moments: no call falls between, nothing hangs, no status is forgotten."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

import recost
from recost import _runtime, handle
from recost.ring.files import RingFile, create_ring
from tests.conftest import Place
from tests.faults.replacing import replace
from tests.harness import run_child, wait_until
from tests.processes.support import Api, call, delivered


def _call_until(stop: threading.Event, url: str) -> None:
    while not stop.is_set():
        call(url)


def _rings_in_memory() -> set[str]:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.partition("/ring-")[2].split()[0] for line in lines if "/ring-" in line}


def test_calls_made_while_init_is_called_again_and_again_are_all_delivered(api: Api):
    def program():
        recost.init()
        stop = threading.Event()
        threads = [threading.Thread(target=_call_until, args=(stop, api.url)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(40):
            call(api.url)
            recost.init(environment=f"e{number % 3}")
        stop.set()
        for thread in threads:
            thread.join()
        recost.flush(60)

    assert run_child(program) == 0
    wait_until(lambda: delivered() == api.calls, what="every call")


def test_an_init_in_a_place_that_runs_again_and_again_is_told_once():
    def program():
        replace(handle, "_calls", 0)  # those of the tests before are inherited
        told = io.StringIO()
        logging.getLogger("recost").addHandler(logging.StreamHandler(told))
        for _ in range(25):
            recost.init()
        assert told.getvalue().count("init() was called 10 times: call it once") == told.getvalue().count("\n") == 1

    assert run_child(program) == 0


def test_rings_that_were_given_up_are_not_kept_in_memory(api: Api):
    def program():
        inherited = _rings_in_memory()
        for _ in range(3):
            with recost.init(collector="thread"):
                call(api.url)
                assert _rings_in_memory() > inherited
        wait_until(lambda: _rings_in_memory() == inherited, what="the last ring to go")

    assert run_child(program) == 0
    assert delivered() == 3


def test_the_last_status_can_be_read_after_dispose_and_after_another_init(api: Api):
    def program():
        with recost.init() as first:
            call(api.url)
        assert first.last_flush_status is not None
        assert first.last_flush_status.status == "ok"
        second = recost.init()
        call(api.url)
        assert second.flush_blocking(60)
        recost.init()
        assert second.last_flush_status is not None

    assert run_child(program) == 0


def test_debug_tells_each_call_and_the_last_flush(api: Api):
    def program():
        read, write = os.pipe()
        os.dup2(write, 2)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        recost.init(debug=True)
        call(api.url)
        handle = recost.init(debug=True)
        call(api.url)
        handle.dispose()
        told = os.read(read, 1 << 16).decode()
        assert told.count("[recost] GET http://127.0.0.2") == 2
        assert "[recost] flush ok: 1 metric entries" in told

    assert run_child(program) == 0


def test_a_fork_of_a_fork_has_one_ring_for_handle_and_capture(api: Api):
    def grandchild(handle: recost.RecostHandle):
        call(api.url)
        assert handle.flush_blocking(60)
        assert handle.last_flush_status is not None
        handle.dispose()
        assert not recost.is_installed()

    def child(handle: recost.RecostHandle):
        call(api.url)
        assert run_child(lambda: grandchild(handle)) == 0
        assert handle.flush_blocking(60)

    def program():
        handle = recost.init()
        call(api.url)
        assert run_child(lambda: child(handle)) == 0
        assert handle.flush_blocking(60)

    assert run_child(program) == 0
    wait_until(lambda: delivered() == 3, what="all three")


def test_a_signal_handler_that_calls_while_the_ring_is_made_hangs_nothing_and_is_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    def create_interrupted(directory: str, session_block: bytes, capacity: int) -> RingFile:
        os.kill(os.getpid(), signal.SIGUSR1)
        return create_ring(directory, session_block, capacity)

    monkeypatch.setattr("recost._own_ring.create_ring", create_interrupted)

    def program():
        signal.signal(signal.SIGUSR1, lambda *_: call(api.url))
        recost.init()
        call(api.url)
        assert recost.flush(60)

    assert run_child(program) == 0
    assert api.calls == delivered() == 2


def test_while_no_ring_can_be_made_calls_wait_and_the_user_hears(
    api: Api, place: Place, monkeypatch: pytest.MonkeyPatch
):
    """Both runtime directories are files: then the first one is mended."""
    errors: list[Exception] = []
    place.runtime.rmdir()
    place.runtime.write_text("in the way")
    monkeypatch.setattr("recost._own_ring.runtime_dirs", lambda: [str(place.runtime)])

    def program():
        recost.init(on_error=errors.append)
        call(api.url, 5)
        wait_until(lambda: errors, what="the error")
        assert str(place.runtime) in str(errors[0])
        assert len(errors) == 1
        Path(place.runtime).unlink()
        wait_until(lambda: _runtime.current is not None and _runtime.current.ring, what="the ring")
        assert recost.flush(60)

    assert run_child(program) == 0
    assert delivered() == 5
