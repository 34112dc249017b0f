"""Bytes that no honest program writes set one record, ring or row aside; this collector and the next one go on."""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recost import session
from recost.event import MAX_BYTES, CallEvent, encode
from recost.notice import Notice
from recost.ring.files import RING_PREFIX, create_ring
from recost.ring.layout import (
    HEAD,
    HEADER_WORDS,
    MAX_SESSION_BYTES,
    NOTICE_AREA,
    NOTICE_PREFIX,
    NOTICES,
    WORD,
    data_offset,
)
from recost.ring.notices import read_notices, write_notice
from recost.session import Registration
from recost_collector.leading import lead
from recost_collector.spool import SPOOL_FILE
from tests.collector.collecting import Worker, collector, delivered, file_session, runtime, total, turn_until

DEEP = b"\x91" * 5000 + b"\xc0"
DEEPER = b"\x91" * 12_000 + b"\xc0"
"""From Python 3.12 on 10,000 levels are decoded, and a record has no room for more."""
EVENT = CallEvent(1, 1, "GET", "https", "api.example.com", "/v1", 200, 1, 1)
LARGEST = (1 << 63) - 1
SESSION_BYTES, OFFSET = 5, 4
"""Words of the header."""


def _with_one_more_field(packed: bytes, field: bytes) -> bytes:
    return bytes([packed[0] + 1]) + packed[1:] + field


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(
            _with_one_more_field(encode(EVENT), DEEP),
            marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="it is not too deep any more"),
        ),
        encode(EVENT).replace(b"/v1", b"\xff\xfe\xfd"),
        encode(msgspec.structs.replace(EVENT, path="/" * MAX_BYTES)),
        b"\xdd\xff\xff\xff\xff",
    ],
    ids=["nested too deep", "no UTF-8", "larger than any event", "four billion fields"],
)
def test_a_record_that_is_no_event_is_counted_and_the_next_ones_are_read(payload: bytes) -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        worker.calls(2)
        assert worker.writer.offer(payload)
        worker.calls(2)
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled)
        assert leadership.service.rings.sources[worker.name].undecodable == 1
        worker.leave()
    assert total() == 4


def test_the_largest_numbers_in_every_field_make_a_window_that_others_can_read() -> None:
    most = (1 << 64) - 1
    worker = Worker(file_session())
    with collector() as leadership:
        for _ in range(3):
            worker.writer.offer(encode(CallEvent(most, most, "GET", "https", "a", "/", most, most, most)))
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled)
        worker.leave()
    (metric,) = delivered()[0]["metrics"]
    assert metric["requestCount"] == 3
    assert metric["totalRequestBytes"] == metric["totalResponseBytes"] == LARGEST


@pytest.mark.parametrize(
    "spoil",
    [
        lambda block: block.replace(b"shop", b"\xff\xfe\xfd\xfc"),
        lambda block: b"\x83" + block[1:] + b"\xa4more" + DEEPER,
    ],
    ids=["no UTF-8", "nested too deep"],
)
def test_a_session_block_that_cannot_be_decoded_sets_its_ring_aside(spoil: Callable[[bytes], bytes]) -> None:
    block = spoil(session.encode(Registration(file_session())))
    ring = create_ring(runtime(), block, 1 << 16)
    healthy = Worker(file_session())
    with collector() as leadership:
        healthy.calls(3)
        healthy.leave()
        turn_until(leadership, lambda: total() == 3, what="the healthy ring")
        assert list(leadership.service.rings.refused) == [RING_PREFIX + ring.header.name]
    os.unlink(ring.path)
    ring.close()


@pytest.mark.parametrize(
    "settings",
    [{"max_buckets": 0}, {"flush_interval_ms": -1}, {"collector_idle_exit_s": float("nan")}, {"spool_max_bytes": 0}],
    ids=["no buckets", "a negative interval", "no number", "no room"],
)
def test_settings_that_no_init_accepts_set_their_ring_aside(settings: dict[str, Any]) -> None:
    """Its events would be counted nowhere, or the collector would never end."""
    worker = Worker(file_session(**settings))
    with collector() as leadership:
        worker.calls(3)
        leadership.turn(0.0)
        assert next(iter(settings)) in leadership.service.rings.refused[RING_PREFIX + worker.name]
    worker.leave()
    os.unlink(worker.ring.path)


def test_a_header_that_claims_a_huge_session_block_is_refused_before_it_is_copied() -> None:
    worker = Worker(file_session())
    page = bytearray(Path(worker.ring.path).read_bytes())
    claim = MAX_SESSION_BYTES + 1
    struct.pack_into("=Q", page, SESSION_BYTES * WORD, claim)
    struct.pack_into("=Q", page, OFFSET * WORD, data_offset(claim))
    struct.pack_into("=Q", page, (HEADER_WORDS - 1) * WORD, zlib.crc32(page[: (HEADER_WORDS - 1) * WORD]))
    Path(worker.ring.path).write_bytes(page)
    os.truncate(worker.ring.path, data_offset(claim) + worker.ring.header.capacity)
    with collector() as leadership:
        leadership.turn(0.0)
        assert "session_bytes" in leadership.service.rings.refused[RING_PREFIX + worker.name]
    worker.leave()
    os.unlink(worker.ring.path)


@pytest.mark.parametrize("payload", [b"\x92\xa4file\xa3\xff\xfe\xfd", b"\x9a\xa4file" + b"\xa0" + DEEP])
def test_a_notice_that_cannot_be_decoded_is_missed_and_raises_nothing(payload: bytes) -> None:
    """The worker's watcher reads it."""
    worker = Worker(file_session())
    payload = payload[: 512 - NOTICE_PREFIX.size]
    write_notice(worker.ring, 0, Notice("degraded", "x"))
    prefix = NOTICE_PREFIX.pack(zlib.crc32(payload, 0), len(payload), 0)
    worker.ring.memory[NOTICE_AREA : NOTICE_AREA + len(prefix) + len(payload)] = prefix + payload
    worker.ring.words[NOTICES] = 1
    assert read_notices(worker.ring, 0).missed == 1
    worker.leave()
    os.unlink(worker.ring.path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE destinations SET id = x'00'",
        "UPDATE destinations SET id = id || char(0)",
        "UPDATE sessions SET id = x'00'",
        "UPDATE cursors SET ring = x'00'",
        f"UPDATE meta SET value = {LARGEST} WHERE name = 'last_frame'",
        f"UPDATE meta SET value = {LARGEST} WHERE name = 'epoch'",
        f"UPDATE meta SET value = {-LARGEST} WHERE name = 'epoch'",
        f"UPDATE meta SET value = {LARGEST} WHERE name = 'commits'",
        f"INSERT INTO frames (id) VALUES ({LARGEST})",
    ],
)
def test_numbers_and_names_that_no_spool_has_keep_no_collector_from_starting(damage: str) -> None:
    first = lead(runtime(), "thread", 1.0)
    assert first is not None
    worker = Worker(file_session(flush_interval_ms=600_000))
    worker.calls(2)
    turn_until(first, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="a commit")
    state_dir = Path(first.state_dir)
    first.give_back()  # as a kill leaves it
    with sqlite3.connect(state_dir / SPOOL_FILE) as db:
        db.execute(damage)
    db.close()

    again = Worker(file_session("after"))
    for expected in (3, 6):  # the first to start must not leave what keeps the second from it
        with collector() as leadership:
            again.calls(3)
            again.ask_for_flush()
            turn_until(leadership, again.is_settled)
            assert total("after") == expected
    worker.leave()
    again.leave()
