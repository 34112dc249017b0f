"""Records: those that wait, those that were collected and can still be read, and why one cannot."""

from __future__ import annotations

import random
import struct
import zlib
from functools import partial
from pathlib import Path

import pytest

from recost import session
from recost.ring import layout
from recost.ring.files import create_ring, open_ring
from recost.ring.reader import UNKNOWN
from recost.session import Registration
from recost_collector.ring_autopsy import examine
from recost_collector.ring_walk import SEARCH_BYTES, Area, read_records
from tests.doctor.bodies import CAPACITY, RECORD, SESSION, START_MS, call, read_from, report_on, ring_bytes, word
from tests.ring.rings import reader_of, writer_of


@pytest.fixture
def content(tmp_path: Path) -> bytearray:
    return ring_bytes(tmp_path)


def test_after_many_laps_the_calls_that_were_collected_last_are_still_there(tmp_path: Path) -> None:
    """The oldest is cut by the newest: what begins in the middle of it is searched for."""
    ring = create_ring(str(tmp_path), session.encode(Registration(SESSION)), CAPACITY)
    writer, reader = writer_of(ring), reader_of(ring)
    random_sizes = random.Random(1)
    for number in range(5000):
        assert writer.offer(call(number, random_sizes.randrange(4, 200)))
        if number < 4990:
            assert reader.drain(1 << 20)
            reader.release(reader.cursor.position)
    report = report_on(Path(ring.path).read_bytes(), keep=1000)
    ring.close()

    assert not report.problems
    assert report.records is not None
    assert report.records.readable == 10
    assert report.records.released is not None
    assert report.records.released > 300
    assert [event.at_ms - START_MS for event in report.events] == list(range(5000 - len(report.events), 5000))
    assert len(report.events) == report.records.released + 10


def test_the_record_of_an_earlier_lap_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    """What a reader sees where the tail is visible before the bytes, or where they were never stored."""
    ring = create_ring(str(tmp_path), b"", CAPACITY)
    writer, reader = writer_of(ring), reader_of(ring)
    for _ in range(CAPACITY // 64):
        writer.offer(bytes(64 - layout.PREFIX_BYTES))
        assert reader.drain(1 << 20)
        reader.release(reader.cursor.position)
    ring.words[layout.TAIL] += 64
    report = report_on(Path(ring.path).read_bytes())
    ring.close()

    problems = {problem.kind: problem.text for problem in report.problems}
    assert f"from position {CAPACITY:,} on: the record of an earlier lap is there" in problems["unreadable"]


def test_a_gap_in_the_numbers_is_counted_and_a_number_that_goes_back_is_unreadable(content: bytearray) -> None:
    seed = layout.seed_of(bytes(content[7 * layout.WORD : 9 * layout.WORD]))
    position = 20 * RECORD
    at = struct.unpack_from("=Q", content, 4 * layout.WORD)[0] + position
    for number, kind in ((23, "lost"), (3, "unreadable")):
        struct.pack_into("<Q", content, at + 8, number)
        crc = zlib.crc32(content[at + 4 : at + RECORD], (seed + position) & layout.SEED_MASK)
        struct.pack_into("<I", content, at, crc)
        assert kind in [problem.kind for problem in report_on(content).problems]
    records = report_on(content).records
    assert records is not None
    assert "its number is 3, 20 should follow" in records.unreadable_why


def test_what_counts_as_readable_is_what_the_collector_reads(tmp_path: Path) -> None:
    """With any one byte of the records changed."""
    sound = ring_bytes(tmp_path, 60, 0)
    offset = struct.unpack_from("=Q", sound, 4 * layout.WORD)[0]
    places = random.Random(2)
    for _ in range(100):
        content = bytearray(sound)
        content[offset + places.randrange(60 * RECORD)] ^= 1 << places.randrange(8)
        path = next(tmp_path.iterdir())
        path.write_bytes(content)
        opened = open_ring(str(path))
        drained = reader_of(opened).drain(1 << 20)
        opened.close()
        records = report_on(content).records
        assert records is not None
        assert records.readable == len(drained)
        assert records.readable + records.readable_behind >= 59 - 1


@pytest.mark.parametrize(
    "payload", [b"\xc1", bytes([call(0)[0] + 1]) + call(0)[1:] + b"\x91" * 5000], ids=["no msgpack", "nested too deep"]
)
def test_a_record_of_unknown_content_is_counted(tmp_path: Path, payload: bytes) -> None:
    ring = create_ring(str(tmp_path), session.encode(Registration(SESSION)), CAPACITY)
    writer = writer_of(ring)
    writer.offer(payload)
    writer.offer(call(1))
    report = report_on(Path(ring.path).read_bytes(), keep=5)
    ring.close()

    assert report.records is not None
    assert (report.records.readable, report.records.undecodable, len(report.events)) == (2, 1, 1)
    assert [problem.kind for problem in report.problems] == ["undecodable"]


def test_nothing_made_up_takes_the_search_longer_than_its_bound(content: bytearray) -> None:
    """Every place claims to be a record of the largest size."""
    offset = pretend_everywhere(content, 0, CAPACITY)
    area = Area(partial(read_from, content), offset, CAPACITY, bytes(16))

    found = list(read_records(area, 0, CAPACITY, UNKNOWN))

    assert len(found) == 1
    assert area.searched < 2 * SEARCH_BYTES
    assert CAPACITY // 8 * (CAPACITY // 8) > 3 * SEARCH_BYTES, "or there was nothing to bound"


def test_a_long_search_in_what_was_collected_leaves_time_for_what_waits(tmp_path: Path) -> None:
    content = ring_bytes(tmp_path, 700, 680)
    offset = pretend_everywhere(content, 0, 680 * RECORD)
    content[offset + 681 * RECORD] ^= 1
    records = report_on(content).records

    assert records is not None
    assert (records.released, records.readable, records.readable_behind) == (0, 1, 18)


def test_the_records_of_the_usual_ring_are_read_at_one_moment(content: bytearray) -> None:
    """While a live one is looked at, its worker goes on."""
    reads = []

    def read_at(offset: int, length: int) -> bytes:
        reads.append(offset)
        return read_from(content, offset, length)

    report = examine(read_at, len(content), 0)

    assert report.header is not None
    assert [offset for offset in reads if offset >= report.header.data_offset] == [report.header.data_offset]


@pytest.mark.parametrize(("head", "tail"), [(8, 0), (0, 1 << 63), (1 << 63, 1 << 63), (0, CAPACITY + 8), (4, 80)])
def test_where_positions_are_nonsense_no_record_is_looked_for(content: bytearray, head: int, tail: int) -> None:
    word(layout.HEAD, head)(content)
    word(layout.TAIL, tail)(content)
    report = report_on(content)

    assert [problem.kind for problem in report.problems] == ["positions"]
    assert report.records is None


def pretend_everywhere(content: bytearray, start: int, stop: int) -> int:
    """Make every place say that a record of the largest size begins there. Gives the data area's offset."""
    offset: int = struct.unpack_from("=Q", content, 4 * layout.WORD)[0]
    size = struct.pack("<I", CAPACITY // 4 - layout.PREFIX_BYTES)
    content[offset + start : offset + stop] = size * ((stop - start) // len(size))
    return offset
