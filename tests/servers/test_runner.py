"""What the runner of the matrix takes for whole, and what not; and what is told of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness import POLL_S, wait_until
from tests.servers import every, one, table
from tests.servers.__main__ import main, work
from tests.servers.results import KEPT, Matrix, Result, read, write
from tests.servers.running import Job, Running

CONTROLS = "tests.servers.controls"


def run(name: str, limit_s: float = 100) -> Result:
    running = Running(job(name, limit_s))
    return wait_until(running.poll, limit_s + 30, f"the control {name}")


def job(name: str, limit_s: float = 100) -> Job:
    result = Result("control", name, "graceful")
    return Job(CONTROLS, result.label, result, limit_s)


def matrix_of(*cells: Result) -> Matrix:
    return Matrix("2026-01-02", "Linux", "3.11.7", {"gunicorn": "23"}, cells=list(cells))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("raises", "the server did not start"),
        ("ends", "ended with code 3"),
        ("leaves_a_thread", "left behind: thread left"),
        ("leaves_a_ring", "left behind: ring ring-of-somebody"),
    ],
)
def test_a_cell_that_does_not_come_to_a_clean_end_has_failed(name: str, why: str):
    result = run(name)
    assert (result.verdict, result.holds) == ("failed", False)
    assert why in result.why


def test_a_cell_that_hangs_is_ended_and_has_failed():
    result = run("hangs", limit_s=3)
    assert result.verdict == "failed"
    assert "did not end within 3 s" in result.why


def test_a_process_that_is_left_behind_is_ended_and_fails_the_cell(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.leaks.GRACE_S", 10 * POLL_S)
    result = run("leaves_a_process")
    assert result.verdict == "failed"
    assert "time.sleep(600)" in result.why


def test_a_cell_that_cannot_be_run_says_why():
    result = run("cannot")
    assert (result.verdict, result.why, result.holds) == ("unavailable", "no such server", True)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("one lost", "not whole"),
        ("one more than in flight lost", "not whole"),
        ("one doubled", "not whole"),
        ("one more than given up doubled", "not whole"),
        ("one never arrived", "whole"),
        ("no call", "not whole"),
        ("all there", "whole"),
    ],
)
def test_counts_decide(name: str, verdict: str, tmp_path: Path):
    assert one.run(one.find(CONTROLS, job(name).label), tmp_path).verdict == verdict


def test_workers_whose_calls_nobody_sees_are_not_whole():
    """The control of the whole harness: a real Gunicorn under load, with recost switched off."""
    result = run("not_captured")
    assert result.verdict == "not whole", result.why
    assert result.made > 0
    assert result.delivered == 0


def test_what_the_time_does_not_allow_has_failed():
    matrix = matrix_of()
    work(matrix, [job("hangs"), job("all there")], at_once=1, budget_s=1)
    assert [cell.why for cell in matrix.cells] == ["not finished when the time was over"] * 2
    assert not matrix.holds


def test_a_run_in_which_nothing_could_be_run_has_shown_nothing():
    assert not matrix_of(Result("a", "fork", "graceful", "unavailable", why="no such server")).holds


def test_the_command_writes_what_came_of_it_and_exits_1_when_one_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(every, "jobs", lambda _wanted: [job("all there"), job("one lost")])
    assert main(["--json", str(tmp_path / "matrix.json"), "--jobs", "2"]) == 1
    cells = json.loads((tmp_path / "matrix.json").read_text())["cells"]
    assert [(cell["made"], cell["delivered"], cell["verdict"]) for cell in cells] == [
        (10, 8, "whole"),
        (10, 9, "not whole"),
    ]
    assert "NOT WHOLE: control, one lost, graceful" in capsys.readouterr().out
    monkeypatch.setattr(every, "jobs", lambda _wanted: [job("all there")])
    assert main([]) == 0


def test_an_unknown_server_is_a_usage_error_and_the_known_ones_are_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["--only", "cherrypy"]) == 2
    assert "cherrypy" in capsys.readouterr().err
    assert main(["--only", "gunicorn", "--list"]) == 0
    assert "Gunicorn gthread, preload, SIGKILL" in capsys.readouterr().out


def test_the_table_has_a_line_for_each_server_and_mode(tmp_path: Path):
    cells = [
        Result("a", "fork", "graceful", "whole", 1200, 1200),
        Result("a", "fork", "SIGKILL", "whole", 90, 88, 3),
        Result("a", "fork", "timeout", "not whole", 9, 8),
        Result("b", "spawn", "reload", "unavailable", why="no such server"),
    ]
    write(matrix_of(*cells), tmp_path / "matrix.json")
    told = table.as_markdown(read(tmp_path / "matrix.json"))
    *_, first, second = told.splitlines()
    assert first == "| a | fork | 1,200 / 1,200 |  | 90 / 88 (3 in flight) | timeout: **9 / 8** |"
    assert second == "| b | spawn |  | not run: no such server |  |  |"
    assert "2026-01-02, Linux, Python 3.11.7: 4 cells, 2 whole, 1 cannot be run there; 1,299 calls" in told
    *_, first, second = table.as_short_markdown(read(tmp_path / "matrix.json")).splitlines()
    assert first == "| a | fork | 3, **1 not whole** | 1,299 | 1,296 | 3 |"
    assert second == "| b | spawn | 0 | 0 | 0 | 0 |"


def test_every_cell_is_in_the_run_that_is_kept_and_holds():
    assert read(KEPT).holds
    assert [cell.label for cell in read(KEPT).cells] == [job.label for job in every.jobs([])]
