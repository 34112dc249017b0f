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

_BEHIND_PREFIX = slice(PREFIX_BYTES - CRC.size, None)
"""The payload, in what a record's CRC is of. Made once: a slice is an object."""


class Cursor(NamedTuple):
    """How far a ring has been read. Committed together with what was read."""

    position: int = 0
    sequence: int = 0
    """Number of the next record; ``UNKNOWN`` when somebody else has read the ring before."""
    lost: int = 0
    """Records known to be missing, exactly, by their numbers."""


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

    def drain(self, max_bytes: int, *, owner_gone: bool = False) -> list[bytes]:
        """The payloads of the next whole records of ``max_bytes``, or of one that is larger, next to each other.

        Moves the private cursor behind them.  An unreadable record is tried again at the next calls, then given up with
        all that follows it up to the tail; at once when ``owner_gone``, for then nothing more will show.
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
        payloads = self._parse(self._copy(position, min(tail - position, wanted)))
        if payloads:
            self._stalled = 0
        else:
            self._stall(position, tail, owner_gone=owner_gone)
        return payloads

    def release(self, position: int) -> None:
        """Give the room before ``position`` back to the producer. Only after the commit."""
        self._words[HEAD] = position

    def _parse(self, chunk: bytes) -> list[bytes]:
        """What the whole records at the start of ``chunk`` hold, which begins at the cursor; moves it behind them."""
        position, sequence, lost = self.cursor
        seed = (self._seed + position) & SEED_MASK
        unpack_prefix, crc32 = RECORD_PREFIX.unpack_from, zlib.crc32
        prefix_bytes, crc_bytes, behind_prefix = PREFIX_BYTES, CRC.size, _BEHIND_PREFIX
        payloads: list[bytes] = []
        at, size = 0, len(chunk)
        last = size - prefix_bytes
        while at <= last:
            crc, length, number = unpack_prefix(chunk, at)
            stop = at + prefix_bytes + length
            body = chunk[at + crc_bytes : stop]
            if crc32(body, seed + at) != crc or stop > size:  # the seed's low 32 bits count
                break  # cut off by the chunk's end, not visible yet, or damaged
            if number != sequence:
                gap = 0 if sequence == UNKNOWN else number - sequence
                if not 0 <= gap < MAX_LOST:
                    break
                lost += gap
                sequence = number
            sequence += 1
            payloads.append(body[behind_prefix])
            at = (stop + 7) & ~7  # where records begin, for the chunk began at one
        self.cursor = Cursor(position + at, sequence, lost)
        return payloads

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
