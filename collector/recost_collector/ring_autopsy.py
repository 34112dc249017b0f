"""What a ring file says, and what is wrong with it, from its bytes alone.

Does not stop at the first thing that is wrong, as the collector's reader must: says all that can still be known.
Reads no clock and no file: ``read_at`` gives the bytes, fewer where the file ends.
"""

from __future__ import annotations

import struct
import sys
import zlib
from typing import NamedTuple, Optional

from recost import notice, session
from recost.event import UNDECODABLE
from recost.ring.layout import (
    BYTE_ORDER_MARK,
    HEADER_WORDS,
    MAGIC,
    MAJOR,
    MAX_CAPACITY,
    MIN_CAPACITY,
    NOTICE_AREA,
    NOTICE_BYTES,
    NOTICE_PREFIX,
    NOTICE_SLOTS,
    PAGE,
    SEED_MASK,
    SESSION_BLOCK,
    WORD,
    data_offset,
)
from recost_collector.figures import plural
from recost_collector.ring_facts import (
    HeaderFacts,
    NoticeFacts,
    Problem,
    RingReport,
    SessionFacts,
    WordFacts,
    word_facts,
)
from recost_collector.ring_judge import judge_counts, judge_positions, judge_records
from recost_collector.ring_walk import Area, ReadAt, count_records

NS_PER_MS = 1_000_000
GLIMPSES = 3
"""Tries to read the records of a ring whose collector releases them meanwhile."""
LARGEST_SESSION = 64 << 20
"""Nobody registers as much: a length that is damaged must not fill the memory."""
LARGEST_COUNT = 1 << 62

_HEADER_BYTES = HEADER_WORDS * WORD
_REMOVE = "remove it if nobody needs it, collectors skip it"


class _Ring(NamedTuple):
    """What all the steps need."""

    read_at: ReadAt
    size: int
    order: str
    """Of the bytes in a word, as ``struct`` names it."""
    report: RingReport

    def wrong(self, kind: str, text: str, mend: str = "") -> None:
        self.report.problems.append(Problem(kind, text, mend))

    def words(self, offset: int, count: int) -> tuple[int, ...]:
        """``count`` words; zeros where the file ends."""
        return struct.unpack(f"{self.order}{count}Q", self.read_at(offset, count * WORD).ljust(count * WORD, b"\0"))


def examine(read_at: ReadAt, size: int, keep: int) -> RingReport:
    """All that a file of ``size`` bytes says itself; the last ``keep`` calls as events."""
    report = RingReport(notices=[], events=[], problems=[])
    magic, native = read_at(0, WORD), struct.pack("=Q", MAGIC)
    if magic not in (native, native[::-1]):
        few = size < _HEADER_BYTES
        text = f"{plural(size, 'byte')} are too few for a ring" if few else "no ring: the magic is missing"
        report.problems.append(Problem("no-ring", text, _REMOVE))
        return report
    is_little = (sys.byteorder == "little") == (magic == native)
    ring = _Ring(read_at, size, "<" if is_little else ">", report)
    if magic != native:
        ring.wrong(
            "byte-order",
            "written by a machine of another byte order",
            "let a collector there have it, those here skip it",
        )
    header = _read_header(ring)
    if header is not None:
        _read_session(ring, header)
        _read_notices(ring, _read_words(ring, header).notices)
        if _has_sound_sizes(ring, header):
            _read_records(ring, header, keep)
        judge_counts(report)
    return report


def _read_header(ring: _Ring) -> Optional[HeaderFacts]:
    """Page 0's immutable words. None when what follows need not be where this version looks for it."""
    raw = ring.read_at(0, _HEADER_BYTES)
    words = ring.words(0, HEADER_WORDS)
    major, minor = words[2] >> 32, words[2] & 0xFFFFFFFF
    is_proven = words[15] == zlib.crc32(raw[: _HEADER_BYTES - WORD])
    ring.report.header = header = HeaderFacts(f"{major}.{minor}", "little" if ring.order == "<" else "big")
    if major == MAJOR or is_proven:  # of another major only what stands where it stands here
        header.capacity_bytes, header.data_offset, header.session_bytes, header.session_crc = words[3:7]
        header.ring_id, header.boot_id = raw[7 * WORD : 9 * WORD].hex(), raw[9 * WORD : 11 * WORD].hex()
        header.pid, header.process_start, header.pid_namespace = words[11:14]
        header.made_at_ms = words[14] // NS_PER_MS
    if major != MAJOR:
        text = f"its layout is {major}.{minor}, this version reads {MAJOR}.x and leaves others alone"
        ring.wrong("layout", text, "use the recost-collector of the version that made it")
        return None
    if words[1] != BYTE_ORDER_MARK:
        ring.wrong("byte-order", "the byte-order mark is damaged", _REMOVE)
    if not is_proven:
        ring.wrong("header", "the header's checksum is wrong: what it says may be so, too", _REMOVE)
    return header


def _read_session(ring: _Ring, header: HeaderFacts) -> None:
    length = header.session_bytes
    block = ring.read_at(SESSION_BLOCK, length) if length <= min(ring.size, LARGEST_SESSION) else b""
    if len(block) < length or zlib.crc32(block) != header.session_crc:
        # Not shown: in a damaged block the key may stand where the project's name should.
        ring.wrong("session", "the session block's checksum is wrong: nobody knows where its events go", _REMOVE)
        return
    try:
        found = session.decode(block)
    except UNDECODABLE:
        text = "the session block is none that this version can read"
        ring.wrong("session", text, "use the recost-collector of the version that made it")
        return
    destination = found.session.destination
    ring.report.session = SessionFacts(
        project=destination.project_id,
        environment=found.session.environment,
        destination=without_secrets(destination.url),
        sdk_version=found.session.sdk_version,
        has_key=bool(found.api_key),
    )


def without_secrets(url: str) -> str:
    """``url`` without user-info, query and fragment."""
    scheme, mark, rest = url.partition("?")[0].partition("#")[0].partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


def _read_words(ring: _Ring, header: HeaderFacts) -> WordFacts:
    """Every word, now. The collector's first: a head must not be seen beyond a tail that was read before it."""
    collectors = ring.words(PAGE, PAGE // WORD)
    ring.report.words = facts = word_facts(ring.words(0, PAGE // WORD) + collectors, header.capacity_bytes)
    return facts


def _read_notices(ring: _Ring, count: int) -> None:
    area = ring.read_at(NOTICE_AREA, NOTICE_SLOTS * NOTICE_BYTES)
    missed = 0
    for number in range(max(0, count - NOTICE_SLOTS), count if count < LARGEST_COUNT else 0):
        found = _notice(area[number % NOTICE_SLOTS * NOTICE_BYTES :][:NOTICE_BYTES], number)
        if found is None:
            missed += 1
        else:
            ring.report.notices.append(NoticeFacts(number, found.kind, str(notice.to_error(found))))
    if missed:
        ring.wrong("notice", f"{plural(missed, 'notice')} of {count:,} cannot be read: its worker misses what they say")
    if count >= LARGEST_COUNT:
        ring.wrong("notice", f"it counts {count:,} notices, which is nonsense: a new collector starts the count anew")


def _notice(slot: bytes, number: int) -> Optional[notice.Notice]:
    if len(slot) < NOTICE_PREFIX.size:
        return None
    crc, length, found = NOTICE_PREFIX.unpack_from(slot)
    payload = slot[NOTICE_PREFIX.size :][:length]
    if found != number or zlib.crc32(payload, number & SEED_MASK) != crc:
        return None
    try:
        return notice.decode(payload)
    except UNDECODABLE:
        return None


def _has_sound_sizes(ring: _Ring, header: HeaderFacts) -> bool:
    """False when positions mean nothing."""
    capacity = header.capacity_bytes
    if not MIN_CAPACITY <= capacity <= MAX_CAPACITY or capacity & (capacity - 1):
        text = f"its capacity, {capacity:,}, is no power of two from {MIN_CAPACITY:,} to {MAX_CAPACITY:,}"
        ring.wrong("capacity", text, _REMOVE)
        return False
    if header.data_offset != data_offset(header.session_bytes):
        text = f"its data offset, {header.data_offset:,}, does not fit a session of {header.session_bytes:,} bytes"
        ring.wrong("data-offset", text, _REMOVE)
        return False
    wanted = header.data_offset + capacity
    if wanted > ring.size:
        text = f"truncated: the file has {ring.size:,} bytes, its header wants {wanted:,}"
        ring.wrong("truncated", text, "if it is a copy, copy it whole; collectors skip it")
    return True


def _read_records(ring: _Ring, header: HeaderFacts, keep: int) -> None:
    for _ in range(GLIMPSES):
        words = _read_words(ring, header)
        if not judge_positions(ring.report, words, header.capacity_bytes):
            return
        area = Area(ring.read_at, header.data_offset, header.capacity_bytes, bytes.fromhex(header.ring_id))
        tally, ring.report.events = count_records(area, words.head, words.tail, keep)
        ring.report.records = tally
        if tally.unreadable_at is None or tally.unreadable_at >= _read_words(ring, header).head:
            ring.report.words = words
            judge_records(ring.report, words, tally)
            return
        tally.moved_on, tally.unreadable_at, tally.unreadable_why = True, None, ""
