"""Words are stored in one piece: another process never sees half of one, or a zero in between."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import time
from collections.abc import Callable

import pytest

from tests.harness import start_child, wait_for_child

ONE, OTHER = 0x1111111111111111, 0xEEEEEEEEEEEEEEEE
SECONDS = 1.0


def _torn_reads(store: Callable[[mmap.mmap], Callable[[int], None]]) -> tuple[int, int]:
    """(reads, reads that gave neither value) while another process stores the two values in turn."""
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    words = memoryview(shared).cast("Q")
    words[0] = ONE

    def write() -> None:
        put = store(shared)
        while True:
            put(ONE)
            put(OTHER)

    child = start_child(write)
    reads = torn = 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for _ in range(1000):
            value = words[0]
            torn += value not in (ONE, OTHER)
        reads += 1000
    os.kill(child, signal.SIGKILL)
    assert wait_for_child(child) == -signal.SIGKILL
    return reads, torn


def _by_cast(shared: mmap.mmap) -> Callable[[int], None]:
    words = memoryview(shared).cast("Q")
    return lambda value: words.__setitem__(0, value)


def _by_pack_into(shared: mmap.mmap) -> Callable[[int], None]:
    return lambda value: struct.pack_into("<Q", shared, 0, value)


def test_a_word_stored_through_a_cast_is_never_seen_torn() -> None:
    reads, torn = _torn_reads(_by_cast)

    assert reads > 10_000
    assert torn == 0


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="the two processes must run at once")
def test_control_pack_into_is_seen_torn() -> None:
    """With enough tries: both processes must happen to run at the same time."""
    assert any(_torn_reads(_by_pack_into)[1] for _ in range(20))
