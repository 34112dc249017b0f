"""Bytes in, the same bytes out: order, wrap, full, and what a damaged or stale record does."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest

from recost.ring.layout import (
    CRC,
    DROPPED_BIG,
    DROPPED_FULL,
    HEAD,
    LENGTH_AND_SEQUENCE,
    PREFIX_BYTES,
    RECORDS,
    TAIL,
    max_record_bytes,
    record_bytes,
)
from recost.ring.reader import MAX_QUARANTINED, PATIENCE, Cursor
from recost.ring.writer import Writer
from tests.ring.rings import SEED, MemoryRing, payloads


class StoreLog:
    """A data area or words that remember the order of stores."""

    def __init__(self, target: memoryview, log: list[object]) -> None:
        self._target = target
        self._log = log

    def __len__(self) -> int:
        return len(self._target)

    def __getitem__(self, index: int) -> int:
        return self._target[index]

    def __setitem__(self, place: Any, value: Any) -> None:
        self._log.append(place if isinstance(place, int) else "data")
        self._target[place] = value


def test_the_writer_publishes_last() -> None:
    """The tail moves after every byte of the record is in place, and only the count follows."""
    ring, log = MemoryRing(), []  # type: MemoryRing, list[object]
    writer = Writer(StoreLog(ring.words, log), StoreLog(ring.data, log), SEED, b"\1")

    writer.offer(b"payload")

    assert log == ["data", TAIL, RECORDS]


def test_a_wrapping_record_is_in_place_before_it_is_published() -> None:
    ring, log = MemoryRing(256), []  # type: MemoryRing, list[object]
    writer = Writer(StoreLog(ring.words, log), StoreLog(ring.data, log), SEED, b"\1")
    for _ in range(6):
        writer.offer(b"x" * 24)
    ring.words[HEAD] = ring.tail
    log.clear()

    writer.offer(b"y" * 24)

    assert log == ["data", "data", TAIL, RECORDS]


def test_records_come_out_in_order_whole_and_once_over_many_laps() -> None:
    ring = MemoryRing(4096)
    writer, reader = ring.writer(), ring.reader()
    chance = random.Random(7)
    sent, got = [], []
    for number in range(5000):
        payload = number.to_bytes(4, "little") + bytes(chance.randrange(0, 200))
        assert writer.offer(payload)
        sent.append(payload)
        if chance.random() < 0.2 or ring.tail - ring.head > 3000:
            got += payloads(reader, max_bytes=chance.choice([1, 100, 4096]))
            reader.release(reader.cursor.position)
    got += payloads(reader)

    assert got == sent
    assert reader.cursor == Cursor(ring.tail, 5000, 0)


def test_a_full_ring_refuses_the_newest_and_counts_it() -> None:
    ring = MemoryRing(256)
    writer, reader = ring.writer(), ring.reader()

    accepted = [writer.offer(bytes([n]) * 48) for n in range(6)]

    assert accepted == [True] * 4 + [False] * 2
    assert ring.words[DROPPED_FULL] == 2
    assert payloads(reader) == [bytes([n]) * 48 for n in range(4)]
    reader.release(reader.cursor.position)
    assert writer.offer(b"again")


def test_a_drain_copies_no_more_than_it_may_or_one_record_that_is_larger() -> None:
    ring = MemoryRing(1 << 16)
    writer, reader = ring.writer(), ring.reader()
    writer.offer(b"a" * 8000)
    while writer.offer(b"b" * 84):
        pass

    assert [len(payload) for payload in reader.drain(1000)] == [8000]
    assert [len(payload) for payload in reader.drain(1000)] == [84] * 9


def test_room_is_given_back_by_release_and_not_by_reading() -> None:
    ring = MemoryRing(256)
    writer, reader = ring.writer(), ring.reader()
    while writer.offer(b"x" * 48):
        pass
    payloads(reader)
    assert not writer.offer(b"x" * 48)
    reader.release(reader.cursor.position)
    assert writer.offer(b"x" * 48)


def test_a_record_that_can_never_fit_is_refused_and_counted_apart() -> None:
    ring = MemoryRing(4096)
    writer = ring.writer()
    largest = max_record_bytes(4096) - PREFIX_BYTES

    assert writer.offer(b"x" * largest)
    assert not writer.offer(b"x" * (largest + 1))
    assert ring.words[DROPPED_BIG] == 1
    assert ring.words[DROPPED_FULL] == 0


@pytest.mark.parametrize("head", [1 << 40, (1 << 64) - 1])
def test_a_head_beyond_the_tail_stops_the_writer(head: int) -> None:
    ring = MemoryRing()
    ring.words[HEAD] = head

    assert not ring.writer().offer(b"payload")
    assert ring.words[DROPPED_FULL] == 1


def _overwrite(ring: MemoryRing, position: int, garbage: bytes) -> None:
    at = position % len(ring.data)
    ring.data[at : at + len(garbage)] = garbage


def test_a_torn_record_is_tried_again_and_read_once_it_shows() -> None:
    ring = MemoryRing()
    writer, reader = ring.writer(), ring.reader()
    writer.offer(b"first")
    whole = bytes(ring.data[:64])
    _overwrite(ring, PREFIX_BYTES, b"\0\0")

    assert all(payloads(reader) == [] for _ in range(PATIENCE - 1))
    ring.data[:64] = whole
    assert payloads(reader) == [b"first"]


def test_a_record_that_stays_torn_is_given_up_and_counted_exactly() -> None:
    """Everything up to the tail goes with it, is kept for diagnosis, and the next record's number tells how many."""
    ring = MemoryRing()
    writer, reader = ring.writer(), ring.reader()
    for n in range(5):
        writer.offer(b"%d" % n)
    _overwrite(ring, 2 * record_bytes(1) + PREFIX_BYTES, b"?")

    assert payloads(reader) == [b"0", b"1"]
    for _ in range(PATIENCE):
        assert payloads(reader) == []
    assert reader.quarantined is not None
    assert len(reader.quarantined) == 3 * record_bytes(1)
    writer.offer(b"5")
    assert payloads(reader) == [b"5"]
    assert reader.cursor.lost == 3


def test_of_a_dead_owner_a_torn_record_is_given_up_at_once_and_counted_by_its_count() -> None:
    ring = MemoryRing()
    writer, reader = ring.writer(), ring.reader()
    for n in range(3):
        writer.offer(b"%d" % n)
    _overwrite(ring, record_bytes(1), b"????")

    assert reader.drain(1 << 16, owner_gone=True) == [b"0"]
    assert reader.drain(1 << 16, owner_gone=True) == []
    assert reader.drain(1 << 16, owner_gone=True) == []
    assert reader.cursor.lost == 2
    assert reader.backlog == 0


def _record(position: int, payload: bytes, sequence: int, *, seeded: bool) -> bytes:
    body = LENGTH_AND_SEQUENCE.pack(len(payload), sequence) + payload
    return CRC.pack(zlib.crc32(body, (SEED + position) & 0xFFFFFFFF if seeded else SEED)) + body


@pytest.mark.parametrize("lap", [1, 2, 3, 1000])
def test_last_laps_record_is_not_taken_for_this_laps(lap: int) -> None:
    """The tail became visible before the payload: what lies at the cursor is whole, valid, and old."""
    ring = MemoryRing(256)
    stale = _record(0, b"old" * 8, 0, seeded=True)
    ring.data[: len(stale)] = stale
    position = lap * 256
    ring.words[TAIL] = position + record_bytes(24)

    assert payloads(ring.reader(Cursor(position, 0))) == []


def test_control_a_checksum_without_the_position_accepts_the_stale_record() -> None:
    """The same state, read by a reader whose seed does not move with the position."""
    ring = MemoryRing(256)
    stale = _record(0, b"old" * 8, 0, seeded=False)
    ring.data[: len(stale)] = stale
    position = 256
    ring.words[TAIL] = position + record_bytes(24)
    reader = ring.reader(Cursor(position, 0))
    reader._seed = SEED - position  # the control: takes the position out of the seed

    assert payloads(reader) == [b"old" * 8]


def test_a_tail_that_makes_no_sense_is_survived() -> None:
    """Somebody overwrote the words: nothing is invented, and the next records come through."""
    ring = MemoryRing()
    writer, reader = ring.writer(), ring.reader()
    writer.offer(b"one")
    assert payloads(reader) == [b"one"]
    true_tail = ring.tail
    ring.words[TAIL] = (1 << 63) + 12345

    assert payloads(reader) == []
    reader.release(reader.cursor.position)
    ring.words[TAIL] = true_tail
    assert payloads(reader) == []
    reader.release(reader.cursor.position)
    assert writer.offer(b"two")
    assert payloads(reader) == [b"two"]


def test_random_bytes_are_never_accepted() -> None:
    chance = random.Random(3)
    for _ in range(300):
        ring = MemoryRing(1024)
        ring.data[:] = chance.randbytes(1024)
        ring.words[TAIL] = chance.choice([64, 512, 1024])
        reader = ring.reader()
        assert payloads(reader) == []


def test_a_reader_that_starts_in_the_middle_counts_no_loss() -> None:
    """The spool was lost, the head remains: numbers before it are unknown, not missing."""
    ring = MemoryRing()
    writer, first = ring.writer(), ring.reader()
    for n in range(4):
        writer.offer(b"%d" % n)
    first.drain(1)
    middle = ring.reader(Cursor(2 * record_bytes(1), -1))

    assert payloads(middle) == [b"2", b"3"]
    assert middle.cursor == Cursor(ring.tail, 4, 0)


def test_a_closed_writer_refuses() -> None:
    ring = MemoryRing()
    writer = ring.writer()
    writer.offer(b"one")
    writer.close()

    assert not writer.offer(b"two")
    assert payloads(ring.reader()) == [b"one"]


def test_of_what_is_given_up_only_so_much_is_kept() -> None:
    """A ring may be as large as a gigabyte."""
    ring = MemoryRing(4 * MAX_QUARANTINED)
    ring.words[TAIL] = 4 * MAX_QUARANTINED
    reader = ring.reader()

    assert reader.drain(1 << 16, owner_gone=True) == []
    assert reader.quarantined is not None
    assert len(reader.quarantined) == MAX_QUARANTINED
    assert reader.backlog == 0
