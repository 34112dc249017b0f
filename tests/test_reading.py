"""However a file is read, in blocks or line by line, by one process or several, the report is the same."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from recost.wire import iso_time
from recost_collector import line_blocks, reading
from recost_collector.books import GROUPINGS, MAX_SLOTS, Timeline
from recost_collector.cli import main
from recost_collector.report import BY
from recost_collector.window_line import Decoder
from tests.conftest import Place
from tests.reporting import entry, window, write

START_S = 1_795_000_000


def at(second: float, calls: int = 1):
    start = iso_time(int((START_S + second) * 10**9))
    return window(entry(calls=calls, cents=0.5), start=start, end=start)


def write_much(place: Place) -> Path:
    """Thousands of lines, and among them empty, damaged and unfinished ones, two on a line, and one on two lines."""
    lines = [at(n, calls=n) for n in range(3000)]
    lines[500] = b"\n"
    lines[1000] = lines[1000][:-30] + b"\n"
    lines[1500] = lines[1500].rstrip() + b" " + lines[1500]
    lines[2000] = lines[2000].replace(b',"metrics"', b',\n"metrics"')
    lines[2500] = lines[2500].replace(b'"1.0"', b'"3.0"')
    return write(place.local, "shop.jsonl", *lines, at(3000)[:-3])


def report(capsys, *options: str) -> object:
    assert main(["report", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("by", ["endpoint", "tag"])
def test_in_any_stretches_and_by_several_processes_it_comes_to_the_same(
    by: str, place: Place, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_much(place)
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 1)  # so a line at a time
    expected = report(capsys, "--by", by)
    assert isinstance(expected, dict)
    assert expected["windows"] == 2995
    assert expected["skippedLines"] == {"unreadable": 4, "unfinished": 1, "unknownVersion": 1}

    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 5000)
    monkeypatch.setattr(reading, "STRETCH_BYTES", 40_000)
    for cores in (1, 2):
        monkeypatch.setattr(reading, "_cores", lambda cores=cores: cores)
        assert report(capsys, "--by", by) == expected


@pytest.mark.parametrize("stretch", [1, 7, 100, 1 << 20])
def test_each_line_belongs_to_the_stretch_in_which_it_begins(stretch: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 16)
    text = b"".join(b"%d" % n * (n % 9) + b"\n" for n in range(200)) + b"the end"
    with open(write(tmp_path, "file", text), "rb") as file:
        parts = [
            list(line_blocks.blocks(file.fileno(), start, min(start + stretch, len(text))))
            for start in range(0, len(text), stretch)
        ]

    assert b"".join(block for part in parts for block in part) == text
    assert all(block.endswith((b"\n", b"the end")) for part in parts for block in part)


def test_what_is_too_old_is_not_decoded_and_what_begins_at_that_moment_counts(place: Place, capsys) -> None:
    """Also where a window that had to wait stands between those that count."""
    lines = [at(n) for n in range(2000)]
    lines[1900], lines[100] = lines[100], lines[1900]
    old = lines[50].replace(b'"requestCount"', b'"requestTally"')  # damaged, where nobody looks any more
    write(place.local, "shop.jsonl", old, *lines)

    found = report(capsys, "--since", iso_time((START_S + 1000) * 10**9))

    assert isinstance(found, dict)
    assert found["windows"] == 1000
    assert found["firstWindow"] == iso_time((START_S + 1000) * 10**9)
    assert main(["report", "--since", "2030-01-01"]) == 0
    assert f"the newest one starts at {iso_time((START_S + 1999) * 10**9)[:10]}" in capsys.readouterr().out


def test_a_timeline_grows_its_slots_and_loses_nothing_whatever_the_order() -> None:
    seconds = [0, 1, 30, 86_400, 3, 40 * 86_400, 7, 86_401]
    decode = Decoder(with_views=True).one
    whole, parts = Timeline(with_views=True), [Timeline(with_views=True) for _ in range(3)]
    for number, second in enumerate(seconds):
        whole.add(decode(at(second, calls=1 << number)))
        parts[number % 3].add(decode(at(second, calls=1 << number)))
    merged = Timeline(with_views=True)
    for part in parts:
        merged.merge(part)

    calls = {number: books.total().calls for number, books in whole.slots.items()}
    assert sum(calls.values()) == (1 << len(seconds)) - 1
    assert calls == {number: books.total().calls for number, books in merged.slots.items()}
    assert whole.slot_s == merged.slot_s == 86_400
    assert max(calls) - min(calls) < MAX_SLOTS
    first = datetime.fromtimestamp(min(calls) * whole.slot_s, timezone.utc)
    assert first <= datetime.fromtimestamp(START_S, timezone.utc)


def test_csv_has_a_row_for_each_group_and_no_formulas(place: Place, capsys) -> None:
    write(
        place.local, "shop.jsonl", window(entry(calls=3, errors=1, cents=1.5), entry("=cmd|' /C'!A0", "a,b", calls=2))
    )

    assert main(["report", "--csv"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        (
            "provider,endpoint,calls,errors,errorPercent,meanLatencyMs,maxP50LatencyMs,maxP95LatencyMs,requestBytes,"
            "responseBytes,costCents,unpricedCalls"
        ),
        "openai,chat_completions,3,1,33.333,10.0,10.0,20.0,900,4200,1.5,0",
        "'=cmd|' /C'!A0,\"a,b\",2,0,0.0,10.0,10.0,20.0,900,4200,0.0,0",
    ]


def test_every_grouping_can_be_asked_for() -> None:
    assert set(BY) == set(GROUPINGS)
