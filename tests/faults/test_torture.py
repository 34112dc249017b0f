"""The runner of ``scripts/torture``: what it says of rows that hold, break, hang, crash and leave things behind."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tests import leaks
from tests.faults import __main__ as torture
from tests.faults import rows
from tests.faults.row import Control, Verdict
from tests.faults.table import as_markdown, as_summary, as_text


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample rows instead of the real ones, and a file of results of this test's own."""
    file = tmp_path / "results" / "torture.json"
    monkeypatch.setattr(rows, "MODULES", ("samples",))
    monkeypatch.setattr(torture, "RESULTS", file)
    return file


def verdicts(results: Path) -> dict[str, Verdict]:
    run = msgspec.json.decode(results.read_bytes(), type=torture.Run)
    return {verdict.name: verdict for verdict in run.verdicts}


def test_a_row_that_holds_ends_with_0_and_its_figures(results: Path, capsys: pytest.CaptureFixture[str]):
    assert torture.main(["--only", "sample.holds", "--seed", "7"]) == 0
    found = verdicts(results)["sample.holds"]
    assert (found.tries, found.violations, found.promise) == (3, [], "this one holds")
    assert found.control == Control("anything", 2, 3)
    assert torture.main(["--only", "sample.holds", "--seed", "7"]) == 0
    assert verdicts(results)["sample.holds"].figures == found.figures, "the seed decides"
    said = capsys.readouterr().out
    assert "seed 7" in said
    assert "every promise held" in said


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("breaks", "expected 2, found 3"),
        ("shows-nothing", "SHOWED NOTHING"),
        ("raises", "a bug of the row"),
        ("crashes", "signal SIGSEGV: last words"),
        ("hangs", "did not end within 1 s"),
    ],
)
def test_a_row_that_does_not_hold_ends_with_1_and_says_why(name: str, why: str, capsys: pytest.CaptureFixture[str]):
    assert torture.main(["--only", f"sample.{name}"]) == 1
    said = capsys.readouterr().out
    assert why in said
    assert f"VIOLATED: sample.{name};" in said


def test_a_process_that_a_row_leaves_behind_is_a_violation_and_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(leaks, "GRACE_S", 0.2)
    assert torture.main(["--only", "sample.leaves"]) == 1
    said = capsys.readouterr().out
    assert "left behind: process" in said
    left = re.search(r"recost-torture-\w+", said)
    assert left is not None
    assert not leaks.processes(left[0])


def test_a_row_that_cannot_run_is_skipped_with_its_reason(capsys: pytest.CaptureFixture[str]):
    assert torture.main(["--only", "sample.skips"]) == 0
    assert "needs a tool that is missing" in capsys.readouterr().out


def test_an_unknown_row_is_an_error_of_usage(capsys: pytest.CaptureFixture[str]):
    assert torture.main(["--only", "sample.nothing"]) == 2
    assert "sample.nothing: no such row" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--kills", "0"], ["--quick", "--full"], ["--seed", "x"]])
def test_other_bad_arguments_are_errors_of_usage(arguments: list[str]):
    with pytest.raises(SystemExit) as caught:
        torture.main(arguments)
    assert caught.value.code == 2


def test_a_run_that_was_interrupted_goes_on_with_the_rows_that_are_missing(results: Path):
    wanted = ["--full", "--only", "sample.holds", "--seed", "7"]
    assert torture.main(wanted) == 0
    first = verdicts(results)
    assert torture.main([*wanted, "--only", "sample.whole", "--resume"]) == 0
    second = verdicts(results)
    assert set(second) == {"sample.holds", "sample.whole"}
    assert second["sample.holds"] == first["sample.holds"], "it was not run again"


def test_a_row_of_the_full_form_stays_out_of_the_quick_one():
    quick = torture._jobs(torture.Run(1, False, "", "", ""), rows.every_row(), torture._parser().parse_args([]))
    whole = torture._jobs(torture.Run(1, True, "", "", ""), rows.every_row(), torture._parser().parse_args(["--full"]))
    assert {job.label for job in whole} - {job.label for job in quick} == {"sample.whole"}


def test_the_tables_show_every_row_and_family():
    found = [
        Verdict("storm", "nothing is lost", tries=1200, control=Control("the commit", 3, 60), seconds=31.4),
        Verdict("files.full", "counted", tries=4, violations=["lost 1"], more_violations=2),
        Verdict("files.tmpfs", "counted", skipped="needs mount"),
    ]
    text = as_text(found)
    assert "1,200" in text
    assert "    ! lost 1" in text
    assert "needs mount" in text
    assert "| `files.full` | counted | 4 | 3 |" in as_markdown(found)
    assert "| storm | 1 | 1,200 | 0 | 1 of 1 |" in as_summary(found)
    assert "| files | 1 (1 skipped) | 4 | 3 |" in as_summary(found)
