"""The notice area: what one side writes, the other reads, and a torn or overwritten one counts as missed."""

from __future__ import annotations

from pathlib import Path

from recost.notice import Notice, to_error
from recost.ring.layout import NOTICE_AREA, NOTICE_BYTES, NOTICE_SLOTS, NOTICES
from recost.ring.notices import read_notices, write_notice
from tests.ring.rings import OpenRing


def _write(ring: OpenRing, *notices: Notice) -> None:
    for notice in notices:
        number = ring.seen.words[NOTICES]
        write_notice(ring.seen, number, notice)
        ring.seen.words[NOTICES] = number + 1


def test_notices_arrive_in_order_and_once(tmp_path: Path) -> None:
    ring = OpenRing(tmp_path)
    _write(ring, Notice("parked", "one"), Notice("parked", "two"))
    heard = read_notices(ring.owned, 0)
    assert [notice.message for notice in heard.notices] == ["one", "two"]

    _write(ring, Notice("parked", "three"))
    again = read_notices(ring.owned, heard.seen)
    assert [notice.message for notice in again.notices] == ["three"]
    assert read_notices(ring.owned, again.seen).notices == []


def test_of_a_burst_the_last_eight_arrive_and_the_rest_is_counted(tmp_path: Path) -> None:
    ring = OpenRing(tmp_path)
    _write(ring, *(Notice("parked", str(number)) for number in range(20)))

    heard = read_notices(ring.owned, 0)

    assert [notice.message for notice in heard.notices] == [str(number) for number in range(12, 20)]
    assert heard.missed == 20 - NOTICE_SLOTS


def test_a_torn_notice_counts_as_missed(tmp_path: Path) -> None:
    ring = OpenRing(tmp_path)
    _write(ring, Notice("parked", "torn"), Notice("parked", "whole"))
    ring.seen.memory[NOTICE_AREA + 20] ^= 0xFF

    heard = read_notices(ring.owned, 0)

    assert [notice.message for notice in heard.notices] == ["whole"]
    assert heard.missed == 1


def test_a_notice_that_is_too_long_is_cut_and_stays_readable(tmp_path: Path) -> None:
    ring = OpenRing(tmp_path)
    long = "é" * 1000
    _write(ring, Notice("file", long, errno=28, filename=long, endpoint=long), Notice("parked", "next"))

    first, second = read_notices(ring.owned, 0).notices

    assert first.message.startswith("éé")
    assert first.message.endswith("…")
    assert second.message == "next"
    error = to_error(first)
    assert isinstance(error, OSError)
    assert error.errno == 28


def test_random_bytes_in_the_area_are_no_notice(tmp_path: Path) -> None:
    ring = OpenRing(tmp_path)
    ring.seen.memory[NOTICE_AREA : NOTICE_AREA + NOTICE_SLOTS * NOTICE_BYTES] = b"\xa5" * (NOTICE_SLOTS * NOTICE_BYTES)
    ring.seen.words[NOTICES] = 5

    heard = read_notices(ring.owned, 0)

    assert heard.notices == []
    assert heard.missed == 5
