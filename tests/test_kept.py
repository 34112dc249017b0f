"""Calls in memory while there is no ring."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

import pytest

import recost
from recost import _recorder, _runtime
from recost._kept import Kept
from recost._own_ring import make_ring
from recost._troubles import Troubles
from recost.config import RecostConfig
from recost.event import CallEvent
from recost.ring.files import RingFile, open_ring
from recost.ring.layout import CLOSED, RECORDS
from tests.harness import PATIENCE_S, wait_until


def test_a_call_that_comes_to_memory_just_after_the_ring_was_made_goes_into_the_ring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread that makes the ring has taken over what was kept by then."""
    add = Kept.add

    def add_late(kept: Kept, payload: bytes) -> None:
        thread = threading.Thread(target=kept._try_to_open)
        thread.start()
        thread.join()
        add(kept, payload)

    monkeypatch.setattr(Kept, "add", add_late)
    with recost.init(collector="external", shutdown_flush_timeout_ms=0):
        runtime = _runtime.current
        assert runtime is not None
        runtime.recorder._kept.is_rescued = True  # so it is not this thread that makes the ring
        runtime.record(CallEvent(1, 1, "GET", "https", "api.example.com", "/", 200, 0, 0))
        assert runtime.ring is not None
        assert runtime.ring.words[RECORDS] == 1
        assert not runtime.recorder._kept
        runtime.ring.remove()


class Hung(NamedTuple):
    """A thread makes the ring, and the disk hangs until it goes on; a call waits in memory."""

    handle: recost.RecostHandle
    goes_on: threading.Event


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hung]:
    goes_on, begun = threading.Event(), threading.Event()

    def make_late(settings: RecostConfig, troubles: Troubles) -> Optional[RingFile]:
        begun.set()
        assert goes_on.wait(PATIENCE_S)
        return make_ring(settings, troubles)

    monkeypatch.setattr(_recorder, "make_ring", make_late)
    with recost.init(collector="external", shutdown_flush_timeout_ms=100) as handle:
        runtime = _runtime.current
        assert runtime is not None
        thread = threading.Thread(target=runtime.recorder._kept._try_to_open)
        thread.start()
        assert begun.wait(PATIENCE_S)
        runtime.recorder._kept.is_rescued = True  # so it is not this thread that makes the ring
        runtime.record(CallEvent(1, 1, "GET", "https", "api.example.com", "/", 200, 0, 0))
        yield Hung(handle, goes_on)
        goes_on.set()
        thread.join()


@pytest.mark.parametrize("timeout_s", [0.05, 0.0, -1.0, math.nan])
def test_a_flush_waits_no_longer_than_its_time_for_a_ring_that_is_being_made(hung: Hung, timeout_s: float) -> None:
    flushed: list[bool] = []
    thread = threading.Thread(target=lambda: flushed.append(recost.flush(timeout_s)))

    thread.start()
    thread.join(PATIENCE_S)

    assert flushed == [False]
    assert not hung.goes_on.is_set()


def test_a_dispose_does_not_wait_for_a_disk_that_hangs_and_the_call_is_the_collectors_in_the_end(
    hung: Hung, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_recorder, "CLOSE_S", 0.05)
    runtime = _runtime.current
    assert runtime is not None
    thread = threading.Thread(target=hung.handle.dispose)

    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert not hung.goes_on.is_set()

    hung.goes_on.set()
    path = wait_until(lambda: next(Path(os.environ["RECOST_RUNTIME_DIR"]).glob("ring-*"), None), what="the ring")
    ring = open_ring(str(path))
    try:
        wait_until(lambda: ring.words[CLOSED] and runtime.ring is None, what="it to be given up")
        assert ring.words[RECORDS] == 1
    finally:
        ring.close()
        path.unlink()
