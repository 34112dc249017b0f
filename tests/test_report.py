"""``recost-collector report``: what it prints, and what it says to wrong options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from recost_collector.cli import main
from recost_collector.report import parse_since
from tests.conftest import Place
from tests.reporting import entry, json_of, text_of, window, write

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def write_shop(place: Place) -> None:
    """Two windows, the later one first, as when an earlier one had to wait."""
    later = {"start": "2026-11-21T11:00:00.000Z", "end": "2026-11-21T11:00:30.000Z"}
    write(
        place.local,
        "shop.jsonl",
        window(entry(calls=1, cents=2.0, p50=90.0, p95=1300.0), entry("aws", "/", calls=41), **later),
        window(entry("stripe", "charges", calls=40), entry(calls=3, errors=1, cents=6.0, p50=400.0, p95=450.1)),
    )


def test_the_total_cost_comes_first_and_then_the_dearest_groups(place: Place, capsys, monkeypatch: pytest.MonkeyPatch):
    write_shop(place)
    monkeypatch.setenv("COLUMNS", "95")

    lines = text_of(capsys).splitlines()

    assert lines == [
        "TOTAL COST  $0.0800",
        "calls       85, errors 1 (1.2%)",
        "time        2026-11-21 10:00:00 to 2026-11-21 11:00:30 UTC",
        "windows     2 of 1 project: shop",
        f"files       {place.local}",
        "",
        "PROVIDER  ENDPOINT          CALLS  ERRORS  ERROR %  P50 MAX  P95 MAX    SENT  RECEIVED     COST",
        "openai    chat_completions      4       1    25.0%   400 ms   1.30 s  1.8 kB    8.4 kB  $0.0800",
        "aws       /                    41       0     0.0%    10 ms    20 ms   900 B    4.2 kB       $0",
        "stripe    charges              40       0     0.0%    10 ms    20 ms   900 B    4.2 kB       $0",
        "-" * 95,
        "TOTAL                          85       1     1.2%   400 ms   1.30 s  3.6 kB   16.8 kB  $0.0800",
        "",
        "P50 MAX and P95 MAX: the highest of the windows' p50 and p95, in TOTAL the highest of the rows.",
    ]


def test_a_narrow_terminal_gets_the_columns_that_matter_and_hears_of_the_others(
    place: Place, capsys, monkeypatch: pytest.MonkeyPatch
):
    write_shop(place)
    monkeypatch.setenv("COLUMNS", "60")

    lines = text_of(capsys).splitlines()

    assert lines[6:8] == [
        "PROVIDER  ENDPOINT          CALLS  ERRORS  P95 MAX     COST",
        "openai    chat_completions      4       1   1.30 s  $0.0800",
    ]
    assert lines[-1] == "Left out, the terminal is too narrow: ERROR %, P50 MAX, SENT, RECEIVED."


def test_json_has_the_documented_names_and_cents(place: Place, capsys):
    write(place.local, "shop.jsonl", *[window(entry(calls=3, errors=1, cents=0.1)) for _ in range(3)])

    sums = {
        "calls": 9,
        "errors": 3,
        "errorPercent": 33.333,
        "meanLatencyMs": 10.0,
        "maxP50LatencyMs": 10.0,
        "maxP95LatencyMs": 20.0,
        "requestBytes": 2700,
        "responseBytes": 12600,
        "costCents": 0.3,
    }
    assert json_of(capsys, "--project", "shop", "--since", "2026-11-21") == {
        "directory": str(place.local),
        "project": "shop",
        "since": "2026-11-21T00:00:00.000Z",
        "by": "endpoint",
        "projects": ["shop"],
        "windows": 3,
        "firstWindow": "2026-11-21T10:00:00.000Z",
        "lastWindow": "2026-11-21T10:00:30.000Z",
        "total": sums,
        "groups": [{"provider": "openai", "endpoint": "chat_completions", **sums, "unpricedCalls": 0}],
        "skippedLines": {"unreadable": 0, "unfinished": 0, "unknownVersion": 0},
        "unreadFiles": [],
    }


def test_the_help_names_every_field_of_the_json(place: Place, capsys):
    write(place.local, "shop.jsonl", window(entry()))
    found = json_of(capsys)

    with pytest.raises(SystemExit):
        main(["report", "--help"])
    told = capsys.readouterr().out

    for name in {*found, *found["total"], *found["groups"][0], *found["skippedLines"], "environment"}:
        assert name in told


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("provider", [("openai", None, None, 7), ("aws", None, None, 8)]),
        ("endpoint", [("openai", "b", None, 6), ("openai", "a", None, 1), ("aws", "a", None, 8)]),
        ("environment", [(None, None, "staging", 6), (None, None, "production", 9)]),
    ],
)
def test_groups_are_what_was_asked_for(by: str, groups: list[object], place: Place, capsys):
    write(place.local, "one.jsonl", window(entry("openai", "a", 1, cents=1), entry("aws", "a", 8)))
    write(place.local, "two.jsonl", window(entry("openai", "b", 6, cents=2), env="staging"))

    found = json_of(capsys, "--by", by)

    assert [(g.get("provider"), g.get("endpoint"), g.get("environment"), g["calls"]) for g in found["groups"]] == groups
    assert (found["total"]["calls"], found["total"]["costCents"]) == (15, 3.0)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", "2026-11-21T11:30:00"),
        ("24h", "2026-11-20T12:00:00"),
        ("7d", "2026-11-14T12:00:00"),
        ("2026-11-21", "2026-11-21T00:00:00"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00"),
        ("2026-11-21 10:00-01:30", "2026-11-21T11:30:00"),
    ],
)
def test_since_is_a_span_or_a_moment(text: str, moment: str):
    assert parse_since(text, NOW).astimezone(timezone.utc).isoformat() == f"{moment}+00:00"


@pytest.mark.parametrize(
    "wrong", ["", "7", "7w", "-7d", "1.5h", "\N{ARABIC-INDIC DIGIT SEVEN}d", "yesterday", "2026-13-01", "999999d"]
)
def test_a_wrong_since_is_a_usage_error_that_says_what_is_wanted(wrong: str, capsys):
    with pytest.raises(SystemExit) as exit_code:
        main(["report", f"--since={wrong}"])

    assert exit_code.value.code == 2
    assert f"argument --since: {wrong!r}: want 30m, 24h, 7d, or an ISO date" in capsys.readouterr().err


@pytest.mark.parametrize("made", [True, False])
def test_without_files_the_report_says_where_it_looked_and_how_to_get_some(made: bool, place: Place, capsys):
    if not made:
        place.local.rmdir()

    said = text_of(capsys)
    assert said.startswith(f"No telemetry in {place.local} yet.\n")
    assert "recost.init()" in said

    assert main(["report", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["groups"], err) == ([], said)


def test_a_project_without_a_file_is_answered_with_those_that_have_one(place: Place, capsys):
    for name in "abcdefg":
        write(place.local, f"{name}.jsonl", window(entry()))

    assert text_of(capsys, "--project", "../shop\x1b") == (
        f"No file of project '../shop\\x1b' in {place.local}. It has files of: a, b, c, d, e and 2 more.\n"
    )
    write(place.local, "empty.jsonl")
    assert text_of(capsys, "--project", "empty") == f"The files in {place.local} hold no window.\n"


def test_another_directory_can_be_read(place: Place, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    write(place.local, "shop.jsonl", window(entry(calls=1)))
    write(tmp_path, "shop.jsonl", window(entry(calls=2)))
    monkeypatch.chdir(tmp_path.parent)

    for given in (str(tmp_path), tmp_path.name):
        found = json_of(capsys, "--dir", given)
        assert (found["directory"], found["total"]["calls"]) == (str(tmp_path), 2)


@pytest.mark.parametrize(("name", "why"), [("none", "no such file or directory"), ("file", "not a directory")])
def test_a_directory_that_was_given_must_be_one(name: str, why: str, tmp_path: Path, capsys):
    (tmp_path / "file").touch()

    assert main(["report", "--dir", str(tmp_path / name)]) == 4
    said, errors = capsys.readouterr()
    assert not said
    assert errors.startswith(f"recost-collector report: cannot read {tmp_path / name}: {why}; --dir names")


@pytest.mark.parametrize("form", ["--html", "--csv"])
def test_a_file_that_cannot_be_written_is_named_with_the_reason(form: str, place: Place, tmp_path: Path, capsys):
    write(place.local, "shop.jsonl", window(entry()))

    for path, why in (
        (tmp_path / "none" / "x", f"there is no folder {tmp_path / 'none'}"),
        (tmp_path, "is a directory"),
    ):
        assert main(["report", form, str(path)]) == 4
        said, errors = capsys.readouterr()
        assert not said
        assert errors.startswith(f"recost-collector report: cannot write {path}: {why}")

    assert main(["report", form, str(tmp_path / "x")]) == 0
    assert (tmp_path / "x").stat().st_size > 0


def test_an_empty_directory_name_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit_code:
        main(["report", "--dir", ""])

    assert exit_code.value.code == 2
    assert "argument --dir: '': want a directory" in capsys.readouterr().err


def test_names_from_outside_do_not_reach_the_terminal_as_commands(place: Place, capsys):
    write(place.local, "a\x1b]0;b.jsonl", window(entry("op\x1b[2J", "/pa\nth")))

    out = text_of(capsys)

    assert "\x1b" not in out
    assert "op\N{REPLACEMENT CHARACTER}[2J" in out
    assert "/pa\N{REPLACEMENT CHARACTER}th" in out


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_it_prints_where_the_encoding_is_poor_and_names_are_no_text(options: list[str], place: Place):
    """A real process, its output a pipe: ASCII, and a file whose name is no UTF-8."""
    Path(os.fsdecode(bytes(place.local) + b"/caf\xe9.jsonl")).write_bytes(window(entry("gér", "/é", calls=7)))
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "C",
    }

    command = [sys.executable, "-m", "recost_collector", "report", *options]
    done = subprocess.run(command, env=environ, capture_output=True, timeout=60, check=True)

    assert done.stderr == b""
    assert b"g?r" in done.stdout
    assert b"caf?" in done.stdout
