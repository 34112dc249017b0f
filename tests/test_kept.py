"""Calls in memory while there is no ring."""

from __future__ import annotations

import threading

import pytest

import recost
from recost import _runtime
from recost._kept import Kept
from recost.event import CallEvent
from recost.ring.layout import RECORDS


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
