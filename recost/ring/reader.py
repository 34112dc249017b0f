"""The collector's end of the ring.

Knows records and positions, nothing of what is in a payload.  The cursor is private: ``head`` moves only when
the caller has committed what it drained and calls ``release``.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple, Optional

from recost.ring.layout import (
    CRC,
    HEAD,
    PREFIX_BYTES,
    RECORD_PREFIX,
    RECORDS,
    SEED_MASK,
    TAIL,
    max_record_bytes,
    record_bytes,
)
from recost.ring.writer import Words

PATIENCE = 20
"""Polls that an unreadable record gets before it is given up: a second at 20 Hz, ages for a store to show."""
MAX_QUARANTINED = 1 << 20
"""So much of what is given up is kept: enough for a diagnosis, of a ring of any size."""
MAX_LOST = 1 << 40
"""A larger gap in the sequence is no loss but nonsense."""


UNKNOWN = -1


class Cursor(NamedTuple):
    """How far a ring has been read. Committed together with what was read."""

    position: int = 0
    sequence: int = 0
    """Number of the next record; ``UNKNOWN`` when somebody else has read the ring before."""
    lost: int = 0
    """Records known to be missing, exactly, by their numbers."""


Record = tuple[bytes, int]
"""(payload, the position behind it). A plain tuple: there is one per event."""


class Reader:
    """Drains one ring. One thread; never writes anything but ``head``."""

    def __init__(self, words: Words, data: memoryview, seed: int, cursor: Optional[Cursor] = None) -> None:
        self._words = words
        self._data = data
        self._seed = seed
        self._capacity = len(data)
        self._max_record = max_record_bytes(len(data))
        self._stalled = 0
        self.cursor = cursor or Cursor()
        self.quarantined: Optional[bytes] = None
        """The first of the bytes given up last, for diagnosis; the caller takes and clears them."""

    @property
    def backlog(self) -> int:
        """Bytes published and not yet drained."""
        return max(0, self._words[TAIL] - self.cursor.position)

    def drain(self, max_bytes: int, *, owner_gone: bool = False) -> list[Record]:
        """The next whole records of ``max_bytes``, or one that is larger, moving the private cursor behind them.

        An unreadable record is tried again at the next calls, then given up with all that follows it up to the
        tail; at once when ``owner_gone``, for then nothing more will show.
        """
        position, tail = self.cursor.position, self._words[TAIL]
        if tail == position:
            if owner_gone:
                self._count_unseen()
            return []
        if not 0 < tail - position <= self._capacity:
            self._give_up(position, tail)
            return []
        wanted = max(max_bytes, self._claimed_bytes(position))
        records = self._parse(self._copy(position, min(tail - position, wanted)))
        if records:
            self._stalled = 0
        else:
            self._stall(position, tail, owner_gone=owner_gone)
        return records

    def release(self, position: int) -> None:
        """Give the room before ``position`` back to the producer. Only after the commit."""
        self._words[HEAD] = position

    def _parse(self, chunk: bytes) -> list[Record]:
        """The whole records at the start of ``chunk``, which begins at the cursor; moves the cursor behind them."""
        position, sequence, lost = self.cursor
        seed = self._seed + position
        unpack_prefix, crc32 = RECORD_PREFIX.unpack_from, zlib.crc32
        records: list[Record] = []
        at = 0
        while at + PREFIX_BYTES <= len(chunk):
            crc, length, number = unpack_prefix(chunk, at)
            stop = at + PREFIX_BYTES + length
            if stop > len(chunk) or crc32(chunk[at + CRC.size : stop], (seed + at) & SEED_MASK) != crc:
                break  # cut off by the chunk's end, not visible yet, or damaged
            gap = 0 if sequence == UNKNOWN else number - sequence
            if not 0 <= gap < MAX_LOST:
                break
            lost += gap
            sequence = number + 1
            at += (PREFIX_BYTES + length + 7) & ~7  # record_bytes()
            records.append((chunk[stop - length : stop], position + at))
        self.cursor = Cursor(position + at, sequence, lost)
        return records

    def _claimed_bytes(self, position: int) -> int:
        """How much the record at ``position`` says that it takes; 0 when that is more than one may."""
        _, length, _ = RECORD_PREFIX.unpack(self._copy(position, PREFIX_BYTES))
        size = record_bytes(length)
        return size if size <= self._max_record else 0

    def _stall(self, position: int, tail: int, *, owner_gone: bool) -> None:
        self._stalled += 1
        if owner_gone or self._stalled >= PATIENCE:
            self._give_up(position, tail)
        if owner_gone:
            self._count_unseen()

    def _give_up(self, position: int, tail: int) -> None:
        """Skip to ``tail``. What is lost shows in the number of the next record, or in the owner's count."""
        self._stalled = 0
        self.quarantined = self._copy(position, min(max(tail - position, 0), self._capacity, MAX_QUARANTINED))
        self.cursor = self.cursor._replace(position=tail)

    def _count_unseen(self) -> None:
        if self.cursor.sequence == UNKNOWN:
            return
        missing = self._words[RECORDS] - self.cursor.sequence
        if 0 < missing < MAX_LOST:
            self.cursor = self.cursor._replace(sequence=self.cursor.sequence + missing, lost=self.cursor.lost + missing)

    def _copy(self, position: int, length: int) -> bytes:
        start = position & (self._capacity - 1)
        end = start + length
        if end <= self._capacity:
            return bytes(self._data[start:end])
        return bytes(self._data[start:]) + bytes(self._data[: end - self._capacity])
