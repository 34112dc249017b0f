"""Rings for tests: real files where a test is about files, plain memory where it is about bytes and stores."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from recost.ring.files import RingFile, create_ring, open_ring
from recost.ring.layout import HEAD, PAGE, TAIL, seed_of
from recost.ring.reader import Cursor, Reader
from recost.ring.sentinel import Sentinel, new_sentinel
from recost.ring.writer import Writer

RING_ID = bytes(range(16))
SEED = seed_of(RING_ID)


class MemoryRing:
    """Words and data without a file, of any capacity."""

    def __init__(self, capacity: int = 4096) -> None:
        self.words = memoryview(bytearray(2 * PAGE)).cast("Q")
        self.data = memoryview(bytearray(capacity))

    def writer(self, ours: Optional[Sentinel] = None) -> Writer:
        return Writer(self.words, self.data, SEED, ours or new_sentinel())

    def reader(self, cursor: Optional[Cursor] = None) -> Reader:
        return Reader(self.words, self.data, SEED, cursor)

    @property
    def tail(self) -> int:
        return self.words[TAIL]

    @property
    def head(self) -> int:
        return self.words[HEAD]


class OpenRing:
    """One ring file as both its ends have it."""

    def __init__(self, directory: Path, capacity: int = 1 << 16, block: bytes = b"block") -> None:
        self.owned = create_ring(str(directory), block, capacity)
        self.seen = open_ring(self.owned.path)
        self.writer = writer_of(self.owned)
        self.reader = reader_of(self.seen)


def writer_of(ring: RingFile, ours: Optional[Sentinel] = None) -> Writer:
    return Writer(ring.words, ring.data, seed_of(ring.header.ring_id), ours or new_sentinel())


def reader_of(ring: RingFile, cursor: Optional[Cursor] = None) -> Reader:
    return Reader(ring.words, ring.data, seed_of(ring.header.ring_id), cursor)


def payloads(reader: Reader, max_bytes: int = 1 << 20) -> list[bytes]:
    """Everything that is readable now."""
    found: list[bytes] = []
    while True:
        drained = reader.drain(max_bytes)
        if not drained:
            return found
        found += drained
