"""The records of a ring as its bytes hold them: nothing is moved, and what cannot be read gets a reason.

The collector stops at a record that it cannot read and gives it up with all behind it.  Here the search goes on
behind it: a record proves itself, so the next whole one is found by trying every place.  The search is bounded,
for a file may be made to keep it busy.
"""

from __future__ import annotations

import collections
import zlib
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional, Union

import msgspec

from recost.event import NS_PER_MS, UNDECODABLE, CallEvent, LlmEvent, decode, host_of
from recost.ring.layout import (
    CRC,
    PREFIX_BYTES,
    RECORD_PREFIX,
    SEED_MASK,
    WORD,
    max_record_bytes,
    record_bytes,
    seed_of,
)
from recost.ring.reader import MAX_LOST, UNKNOWN
from recost_collector.ring_facts import Event, Tally

ReadAt = Callable[[int, int], bytes]
"""(offset, length) to the bytes there: fewer where the file ends."""

CHUNK_BYTES = 4 << 20
"""Read at once: more than the usual ring, so that a live one is seen as it was at one moment."""
SEARCH_BYTES = 16 << 20
"""Looked at in search of whole records; a larger ring is not searched for those that were collected."""
LAPS = 8
"""Earlier laps whose record may still lie where a new one should."""

_BODY_PREFIX = PREFIX_BYTES - CRC.size


class Record(NamedTuple):
    """A whole one."""

    position: int
    end: int
    sequence: int
    lost: int
    """Numbers missing before it; absurd where they make no sense."""
    payload: bytes


class Unreadable(NamedTuple):
    position: int
    why: str


Recorded = Union[CallEvent, LlmEvent]
Calls = collections.deque[tuple[Record, Recorded]]


class Area:
    """The data area of one ring, by position."""

    def __init__(self, read_at: ReadAt, data_offset: int, capacity: int, ring_id: bytes) -> None:
        self.capacity = capacity
        self.max_record = max_record_bytes(capacity)
        self.searched = 0
        """Bytes looked at in vain."""
        self._read_at = read_at
        self._data_offset = data_offset
        self._seed = seed_of(ring_id)
        self._start, self._chunk = 0, b""

    def piece(self, position: int, length: int) -> bytes:
        """``length`` bytes from ``position`` on; fewer where the file ends. At most the capacity."""
        at = position - self._start
        if not 0 <= at <= len(self._chunk) - length:
            self._start, at = position, 0
            self._chunk = self._copy(position, min(max(length, CHUNK_BYTES), self.capacity))
        return self._chunk[at : at + length]

    def proves(self, position: int, crc: int, body: bytes) -> bool:
        """Whether ``crc`` is that of ``body`` as a record at ``position``."""
        if zlib.crc32(body, (self._seed + position) & SEED_MASK) == crc:
            return True
        self.searched += len(body)
        return False

    def _copy(self, position: int, length: int) -> bytes:
        start = position & (self.capacity - 1)
        room = min(length, self.capacity - start)
        found = self._read_at(self._data_offset + start, room)
        if len(found) < room or room == length:
            return found
        return found + self._read_at(self._data_offset, length - room)


def read_records(area: Area, start: int, stop: int, expected: int) -> Iterator[Union[Record, Unreadable]]:
    """The whole records from ``start`` to ``stop``, and once for each place where there is none what is there."""
    position = start
    while position < stop:
        found = _whole(area, position, stop, expected)
        if found is not None and 0 <= found.lost < MAX_LOST:
            yield found
            position, expected = found.end, found.sequence + 1
            continue
        nonsense = f"its number is {found.sequence:,}, {expected:,} should follow" if found else ""
        yield Unreadable(position, nonsense or _why_not_whole(area, position, stop))
        position, expected = _next_whole(area, position + WORD, stop), UNKNOWN


def count_records(area: Area, head: int, tail: int, keep: int) -> tuple[Tally, list[Event]]:
    """Count what waits and what was collected; with the last ``keep`` calls of both."""
    tally = Tally()
    last: Calls = collections.deque(maxlen=keep)
    if area.capacity <= SEARCH_BYTES:
        tally.released = _count_released(area, max(0, tail - area.capacity), head, tally, last)
    area.searched = 0
    for found in read_records(area, head, tail, UNKNOWN if head else 0):
        if isinstance(found, Record):
            _add(tally, found, last)
        elif tally.unreadable_at is None:
            tally.unreadable_at, tally.unreadable_why = found
    return tally, [_to_event(record, call, released=record.end <= head) for record, call in last]


def _count_released(area: Area, start: int, head: int, tally: Tally, last: Calls) -> int:
    released = 0
    for found in read_records(area, start, head, UNKNOWN):
        if isinstance(found, Record):
            released += 1
            call = _decode(found)
            if call is not None:
                tally.last_event_at_ms = call.at_ns // NS_PER_MS
                last.append((found, call))
    return released


def _add(tally: Tally, found: Record, last: Calls) -> None:
    if tally.unreadable_at is None:
        tally.readable += 1
        if found.lost and tally.lost_at is None:
            tally.lost_at = found.position
        tally.lost += found.lost
    else:
        tally.readable_behind += 1
    if tally.first_sequence is None:
        tally.first_sequence = found.sequence
    tally.last_sequence = found.sequence
    call = _decode(found)
    if call is None:
        tally.undecodable += 1
        return
    tally.last_event_at_ms = call.at_ns // NS_PER_MS
    if tally.first_event_at_ms is None:
        tally.first_event_at_ms = tally.last_event_at_ms
    last.append((found, call))


def _decode(found: Record) -> Optional[Recorded]:
    try:
        return decode(found.payload)
    except UNDECODABLE:
        return None


def _to_event(found: Record, call: Recorded, *, released: bool) -> Event:
    """An LLM call has its provider for a host and its model for a path."""
    if isinstance(call, LlmEvent):
        target = {"method": "LLM", "host": call.provider, "path": call.model, "status": 0 if call.error else 200}
    else:
        target = {"method": call.method, "host": host_of(call.netloc), "path": call.path, "status": call.status}
    when = {"at_ms": call.at_ns // NS_PER_MS, "ms": call.duration_ns / NS_PER_MS}
    place = {"sequence": found.sequence, "position": found.position, "released": released}
    return msgspec.convert({**place, **when, **target}, Event)


def _whole(area: Area, position: int, stop: int, expected: int) -> Optional[Record]:
    """The record at ``position`` when it is whole, ends before ``stop`` and proves itself."""
    prefix = area.piece(position, PREFIX_BYTES)
    if len(prefix) < PREFIX_BYTES:
        return None
    crc, length, number = RECORD_PREFIX.unpack(prefix)
    end = position + record_bytes(length)
    if end > stop or end - position > area.max_record:
        return None
    body = area.piece(position + CRC.size, _BODY_PREFIX + length)
    if len(body) < _BODY_PREFIX + length or not area.proves(position, crc, body):
        return None
    return Record(position, end, number, 0 if expected == UNKNOWN else number - expected, body[_BODY_PREFIX:])


def _why_not_whole(area: Area, position: int, stop: int) -> str:
    prefix = area.piece(position, PREFIX_BYTES)
    if len(prefix) < PREFIX_BYTES:
        return "the file ends before it"
    crc, length, _ = RECORD_PREFIX.unpack(prefix)
    if record_bytes(length) > area.max_record:
        return f"its length is damaged: {length:,} bytes are more than a record may have"
    body = area.piece(position + CRC.size, _BODY_PREFIX + length)
    if not any(prefix):
        return "nothing is there: its bytes are not visible yet, were never stored, or became zeros"
    if any(area.proves(lap, crc, body) for lap in _earlier_laps(area, position)):
        return "the record of an earlier lap is there: its bytes are not visible yet, or were never stored"
    if position + record_bytes(length) > stop:
        return f"its length is damaged, or the tail: {length:,} bytes go beyond it"
    return "its checksum is wrong" if len(body) == _BODY_PREFIX + length else "the file ends in it"


def _earlier_laps(area: Area, position: int) -> list[int]:
    """The last few positions that had this one's place."""
    return [position - lap * area.capacity for lap in range(1, min(LAPS, position // area.capacity) + 1)]


def _next_whole(area: Area, start: int, stop: int) -> int:
    """The position of the next whole record, or ``stop``."""
    for position in range(start, stop, WORD):
        if area.searched > SEARCH_BYTES:
            break
        area.searched += WORD
        if _whole(area, position, stop, UNKNOWN) is not None:
            return position
    return stop
