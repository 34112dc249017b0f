"""What is said of a ring's bytes: all that is in them, and every kind of damage by its name."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from recost import session
from recost.notice import Notice
from recost.ring import layout
from recost.ring.files import create_ring
from recost.ring.notices import write_notice
from recost.session import Registration
from recost_collector.ring_autopsy import without_secrets
from tests.doctor.bodies import (
    CAPACITY,
    COLLECTED,
    RECORD,
    SESSION,
    START_MS,
    WAITING,
    Damage,
    cut,
    data,
    header,
    report_on,
    ring_bytes,
    word,
)


@pytest.fixture
def content(tmp_path: Path) -> bytearray:
    return ring_bytes(tmp_path)


def test_everything_in_a_sound_ring_is_said(content: bytearray) -> None:
    report = report_on(content, keep=3)

    assert not report.problems
    assert report.header is not None
    assert report.session is not None
    assert report.words is not None
    assert report.records is not None
    assert report.header.layout == f"{layout.MAJOR}.{layout.MINOR}"
    assert report.header.capacity_bytes == CAPACITY
    assert (report.session.project, report.session.environment, report.session.has_key) == ("shop", "production", True)
    assert report.session.destination == "https://api.example.com/projects/shop/telemetry"
    assert report.words.backlog_bytes == WAITING * RECORD
    assert (report.records.readable, report.records.released) == (WAITING, COLLECTED)
    assert (report.records.first_sequence, report.records.last_sequence) == (COLLECTED, COLLECTED + WAITING - 1)
    assert report.records.first_event_at_ms == START_MS + COLLECTED
    assert report.records.last_event_at_ms == START_MS + COLLECTED + WAITING - 1
    assert [event.at_ms - START_MS for event in report.events] == [37, 38, 39]
    assert (report.events[-1].host, report.events[-1].status, report.events[-1].ms) == ("api.example.com", 200, 5.0)


def test_a_ring_with_nothing_in_it_is_sound(tmp_path: Path) -> None:
    report = report_on(ring_bytes(tmp_path, 0, 0))

    assert not report.problems
    assert report.records is not None
    assert (report.records.readable, report.records.released) == (0, 0)


@pytest.mark.parametrize(
    ("damage", "kind", "text"),
    [
        (word(0, 1), "no-ring", "the magic is missing"),
        (cut(5), "no-ring", "5 bytes are too few"),
        (cut(0), "no-ring", "0 bytes are too few"),
        (cut(100), "header", "checksum"),
        (word(1, 7), "byte-order", "mark is damaged"),
        (header(2, 7 << 32 | 3), "layout", "its layout is 7.3, this version reads 1.x"),
        (word(14, 5), "header", "the header's checksum is wrong"),
        (header(3, CAPACITY + 8), "capacity", "65,544, is no power of two"),
        (header(3, 1 << 60), "capacity", "is no power of two from 65,536 to 1,073,741,824"),
        (header(4, 8), "data-offset", "8, does not fit"),
        (header(5, 1 << 63), "session", "checksum"),
        (header(6, 1), "session", "checksum"),
        (header(3, CAPACITY * 2), "truncated", "its header wants"),
        (cut(20_000), "truncated", "the file has 20,000 bytes"),
        (word(layout.TAIL, 8), "positions", "the tail, 8, is before the head"),
        (word(layout.TAIL, 1 << 63), "positions", "beyond what any ring reaches"),
        (word(layout.TAIL, CAPACITY * 3), "positions", "the ring has room for 65,536"),
        (word(layout.TAIL, 3201), "positions", "no multiple of 8"),
        (word(layout.TAIL, 3208), "unreadable", "from position 3,200 on: nothing is there"),
        (word(layout.TAIL, 3192), "unreadable", "from position 3,120 on: its length is damaged, or the tail"),
        (word(layout.RECORDS, 999), "count", "counts 999 records, the last one is number 39"),
        (word(layout.NOTICES, 3), "notice", "3 notices of 3"),
        (word(layout.NOTICES, (1 << 64) - 1), "notice", "nonsense"),
        (word(layout.DROPPED_FULL, 5), "dropped", "5 calls not recorded because the ring was full"),
        (word(layout.DROPPED_BIG, 1), "dropped", "1 call too large"),
        (word(layout.LOST, 3), "dropped", "3 calls that no ring kept"),
        (word(layout.FAULTS, 2), "faults", "2 bugs"),
        (data(1600 + 30, b"\0"), "unreadable", "position 1,600 on: its checksum is wrong; 19 whole records behind it"),
        (data(1600, bytes(80)), "unreadable", "position 1,600 on: nothing is there"),
        (data(1604, b"\xff\xff\xff\xff"), "unreadable", "its length is damaged: 4,294,967,295 bytes are more"),
        (data(1604, b"\x00\x10\x00\x00"), "unreadable", "its length is damaged, or the tail: 4,096 bytes"),
    ],
)
def test_each_damage_has_its_line(content: bytearray, damage: Damage, kind: str, text: str) -> None:
    damage(content)

    problems = {problem.kind: problem.text for problem in report_on(content).problems}

    assert text in problems.get(kind, ""), problems


def test_of_a_ring_of_another_major_only_the_proven_is_shown(content: bytearray) -> None:
    header(2, 2 << 32)(content)
    proven = report_on(content).header
    word(14, 0)(content)
    other = report_on(content).header

    assert proven is not None
    assert other is not None
    assert (proven.layout, bool(proven.ring_id)) == ("2.0", True)
    assert (other.layout, other.ring_id, other.pid) == ("2.0", "", 0)


def test_a_newer_minor_is_read(content: bytearray) -> None:
    header(2, layout.MAJOR << 32 | 9)(content)

    assert not report_on(content).problems


def test_a_ring_of_a_machine_of_another_byte_order_is_read_in_its_order(content: bytearray) -> None:
    words = [*range(7), *range(11, 16), *range(16, 2 * layout.PAGE // layout.WORD)]  # ring id and boot id are bytes
    for at in (index * layout.WORD for index in words):
        content[at : at + layout.WORD] = content[at : at + layout.WORD][::-1]
    swapped = struct.pack("=Q", zlib.crc32(content[: 15 * layout.WORD]))[::-1]
    content[15 * layout.WORD : 16 * layout.WORD] = swapped

    report = report_on(content)

    assert [problem.kind for problem in report.problems] == ["byte-order"]
    assert report.records is not None
    assert report.records.readable == WAITING


def test_notices_are_read_as_the_worker_reads_them(tmp_path: Path) -> None:
    ring = create_ring(str(tmp_path), session.encode(Registration(SESSION)), CAPACITY)
    for number in range(layout.NOTICE_SLOTS + 2):
        write_notice(ring, number, Notice("auth", status=401, count=number))
        ring.words[layout.NOTICES] = number + 1
    report = report_on(Path(ring.path).read_bytes())
    ring.close()

    assert [found.number for found in report.notices] == list(range(2, layout.NOTICE_SLOTS + 2))
    assert "401" in report.notices[0].text
    assert not report.problems


def test_the_key_is_not_shown_wherever_the_session_block_is_damaged(content: bytearray) -> None:
    length = struct.unpack_from("=Q", content, 5 * layout.WORD)[0]
    for at in range(layout.SESSION_BLOCK, layout.SESSION_BLOCK + length):
        damaged = bytearray(content)
        damaged[at] ^= 0x21
        assert "secret" not in repr(report_on(damaged))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host:8443/p?key=1#f", "https://host:8443/p"),
        ("file:///home/a@b/shop.jsonl", "file:///home/a@b/shop.jsonl"),
        ("ws://127.0.0.1:9847", "ws://127.0.0.1:9847"),
        ("https://a@b@host/x", "https://host/x"),
        ("nonsense", "nonsense"),
        ("", ""),
    ],
)
def test_a_destination_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
