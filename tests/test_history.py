"""Which lines of which local files count in a report: those of a real collector, of other programs, and of none."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recost.wire import MetricEntry
from recost_collector import line_blocks
from recost_collector.cli import main
from recost_collector.exporters.lines import LineFile
from recost_collector.local_files import Opened, open_project
from tests.conftest import Place
from tests.harness import start_child, wait_for_child, wait_until
from tests.reporting import entry, json_of, text_of, window, write


def test_rotated_files_count_and_logs_of_llm_calls_do_not(place: Place, capsys):
    write(place.local, "shop.jsonl", window(entry(calls=1)))
    write(place.local, "shop.1.jsonl", window(entry(calls=10)))
    write(place.local, "v1.1.jsonl", window(entry(calls=100)))
    for name in ("shop.llm.jsonl", "shop.llm.1.jsonl", "notes.txt", "shop.jsonl.gz"):
        write(place.local, name, window(entry(calls=1000)))
    (place.local / "folder.jsonl").mkdir()
    (place.local / "gone.jsonl").symlink_to(place.local / "nothing")
    os.mkfifo(place.local / "pipe.jsonl")
    os.mkfifo(place.local / "v1.1.1.jsonl")

    assert json_of(capsys)["projects"] == ["shop", "v1.1"]
    assert json_of(capsys)["total"]["calls"] == 111
    assert json_of(capsys, "--project", "shop")["total"]["calls"] == 11
    assert json_of(capsys, "--project", "v1.1")["total"]["calls"] == 100


def append(path: Path, enough: threading.Event) -> None:
    """As a collector does: windows whose endpoints are numbers, in a file that rotates every few of them."""
    with contextlib.closing(LineFile(str(path))) as file:
        for number in itertools.count():
            if enough.is_set():
                break
            if file.size() > 4000:
                file.rotate(str(path.with_name("shop.1.jsonl")))
            file.append(window(entry(endpoint=str(number))))


def test_no_window_counts_twice_or_is_missed_while_the_file_rotates(place: Place, capsys):
    enough = threading.Event()
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(append, place.local / "shop.jsonl", enough)
        try:
            wait_until((place.local / "shop.1.jsonl").exists)
            for _ in range(50):
                main(["report", "--json"])
                found = json.loads(capsys.readouterr().out)
                numbers = sorted(int(group["endpoint"]) for group in found["groups"])
                assert {group["calls"] for group in found["groups"]} <= {1}
                assert not numbers or numbers == list(range(numbers[0], numbers[-1] + 1))
                assert (found["skippedLines"]["unreadable"], found["unreadFiles"]) == (0, [])
        finally:
            enough.set()

    writer.result()


def rotate(folder: Path, enough: Path) -> None:
    """Without a pause; each new file holds the next number."""
    for number in itertools.count():
        if enough.exists():
            break
        write(folder, "new", b"%d" % number)
        os.replace(folder / "shop.jsonl", folder / "shop.1.jsonl")
        os.replace(folder / "new", folder / "shop.jsonl")


def test_the_two_files_of_a_project_are_those_of_one_moment(place: Place, tmp_path: Path):
    """Another process rotates: a thread would be paced by the reader."""
    write(place.local, "shop.jsonl", b"-1")
    rotator = start_child(lambda: rotate(place.local, tmp_path / "enough"))
    pairs: list[list[int]] = []
    try:
        while len(pairs) < 500:
            numbers = [number_in(opened) for opened in open_project(str(place.local), "shop")]
            if len(numbers) == 2:  # at first there is no rotated one, and for instants no current one
                pairs.append(numbers)
    finally:
        (tmp_path / "enough").touch()
        assert wait_for_child(rotator) == 0

    assert [(current, rotated) for current, rotated in pairs if current != rotated + 1] == []


def number_in(opened: Opened) -> int:
    assert opened.file is not None
    with opened.file as file:
        return int(file.read())


def test_windows_that_started_before_since_do_not_count(place: Place, capsys):
    for hour, calls in ((9, 1), (10, 10), (11, 100)):
        write(place.local, f"at{hour}.jsonl", window(entry(calls=calls), start=f"2026-11-21T{hour:02}:00:00.000Z"))

    def calls_since(when: str) -> object:
        return json_of(capsys, "--since", when)["total"]["calls"]

    assert calls_since("2026-11-21T10:00:00.000Z") == 110
    assert calls_since("2026-11-21T10:00:00.001") == 100
    assert calls_since("2026-11-21T12:30+02:00") == 100
    assert calls_since("99999d") == 111
    assert text_of(capsys, "--since", "2026-11-21T23:00") == (
        f"No window in {place.local} since 2026-11-21 23:00:00 UTC; the newest one starts at 2026-11-21 11:00:00 UTC.\n"
    )


def test_lines_that_are_no_windows_are_skipped_counted_and_told(place: Place, capsys):
    good = window(entry(calls=7))
    path = write(
        place.local,
        "shop.jsonl",
        good,
        b"\n",
        good.replace(b'"1.0"', b'"1.9"').replace(b'"metrics"', b'"llmMetrics":[{"provider":1}],"metrics"'),
        good.replace(b'"1.0"', b'"2.0"'),
        b'{"protocolVersion":"10.0","windows":[]}\n',
        good.replace(b'"1.0"', b"1.0"),
        good.replace(b'"requestCount":7', b'"requestCount":-7'),
        good.replace(b'"requestCount":7', b'"requestCount":' + b"9" * 400),
        good.replace(b'"estimatedCostCents":0.0', b'"estimatedCostCents":1e999'),
        good.replace(b"10:00:00.000Z", b"10:00:00.000"),
        good.replace(b"production", b"\xff\xfe"),
        good.replace(b'"metrics":', b'"metrics":' + b"[" * 100_000),
        b"\0" * 5000 + b"\n",
        good[:-20] + good,
        b"null\n",
        good[:-40],
    )

    assert main(["report", "--json"]) == 0
    out, err = capsys.readouterr()

    found = json.loads(out)
    assert (found["windows"], found["total"]["calls"]) == (2, 14)
    assert found["skippedLines"] == {"unreadable": 10, "unfinished": 1, "unknownVersion": 2}
    prefix = f"recost-collector report: {path}: skipped "
    assert all(line.startswith(prefix) for line in err.splitlines())
    assert sorted(line[len(prefix) :] for line in err.splitlines()) == [
        "1 line: the last one has no end: it is being written now, or was cut off",
        "10 lines: no window, or a damaged one",
        "2 lines: of a protocol version other than 1.x; a newer recost may read it",
    ]


def test_the_last_line_needs_no_newline(place: Place, capsys):
    write(place.local, "shop.jsonl", window(entry(calls=7)).rstrip())

    assert json_of(capsys)["total"]["calls"] == 7


def test_a_line_without_end_does_not_fill_the_memory(place: Place, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 1024)
    monkeypatch.setattr(line_blocks, "MAX_LINE_BYTES", 4096)
    write(place.local, "shop.jsonl", b"x" * 10_000 + b"\n", window(entry(calls=7)))

    assert main(["report", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert (found["total"]["calls"], found["skippedLines"]["unreadable"]) == (7, 3)


def test_sums_beyond_every_limit_are_still_a_report(place: Place, capsys):
    most = (1 << 63) - 1
    huge = MetricEntry("p", "e", "GET", most, most, 0.0, 1e300, 1e300, most, most, 1e300)
    write(place.local, "shop.jsonl", window(huge, start="0001-01-01T00:00:00+14:00"), window(huge))

    assert json_of(capsys)["total"]["calls"] == most
    assert "TOTAL" in text_of(capsys)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_file_that_cannot_be_read_is_named_and_the_others_count(place: Place, capsys):
    write(place.local, "shop.jsonl", window(entry(calls=7)))
    bad = place.local / "bad.jsonl"
    bad.symlink_to("/proc/self/mem")  # opens; reading its first page fails

    assert main(["report", "--json"]) == 4
    out, err = capsys.readouterr()

    found = json.loads(out)
    assert (found["total"]["calls"], found["unreadFiles"]) == (7, [str(bad)])
    assert err == f"recost-collector report: cannot read {bad}: Input/output error; its windows are missing above\n"
