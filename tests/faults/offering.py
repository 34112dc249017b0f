"""A worker at full speed, without a client or an API: the real Runtime, ring and link, and ``offer`` called in a loop.

*Acknowledged* means: ``offer`` returned True, and the ledger has it before the next ``offer``.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path
from typing import Any

import recost
from recost import _runtime
from recost.event import CallEvent, encode
from recost.ring.writer import Writer

HOST = "api.example.com"
DURATION_NS = 5_000_000


class Ledger:
    """Counts in a file that each process maps: a slot per worker, stored in one step, not lost by a SIGKILL."""

    def __init__(self, path: Path, slots: int) -> None:
        """Open it, or make it with zeros. All who share it give the same number of slots."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, 8 * slots)
            self._memory = mmap.mmap(fd, 8 * slots)
        finally:
            os.close(fd)
        self.counts = memoryview(self._memory).cast("Q")

    def add(self, slot: int) -> None:
        """One more is acknowledged."""
        self.counts[slot] += 1

    @property
    def total(self) -> int:
        return sum(self.counts)


class Offering:
    """This process as a worker. Make it after the fork, with the environment of its place."""

    def __init__(self, **settings: Any) -> None:
        recost.init(**settings)
        runtime = _runtime.current
        assert runtime is not None
        self.runtime = runtime

    def offer(self, path: str = "/v1/things", status: int = 200) -> bool:
        """Publish one call. False: the ring was full (the ring counts that) and nothing was acknowledged."""
        event = CallEvent(time.time_ns(), DURATION_NS, "GET", "https", HOST, path, status, 10, 20)
        writer = self.runtime.recorder.writer
        return self._first(event) if writer is None else writer.offer(encode(event))

    def offer_all(self, ledger: Ledger, slot: int, count: int) -> None:
        """Publish ``count`` calls, each noted before the next; waits for room where the ring is full."""
        done = 0
        while done < count:
            if self.offer():
                ledger.add(slot)
                done += 1
            else:
                time.sleep(0.001)

    @property
    def writer(self) -> Writer:
        found = self.runtime.recorder.writer
        assert found is not None, "nothing was offered yet"
        return found

    def _first(self, event: CallEvent) -> bool:
        """Through the Runtime, which makes the ring and starts the watcher."""
        return self.runtime.record(event) and self.runtime.ring is not None
