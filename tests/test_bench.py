"""Each benchmark runs and has something to say. What it says about time is nobody's to assert."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import SUBJECTS, main, run
from benchmarks.measure import Effort, interleaved, median, percentile
from benchmarks.place import place
from benchmarks.rows import Row, draw, figure

SMOKE = Effort(0.005)
ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(sys.version_info < (3, 10), reason="it compares clients that cannot all be there on 3.9")
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subject_prints_its_rows(name: str, capsys: pytest.CaptureFixture[str]):
    rows = run(name, SMOKE)

    printed = capsys.readouterr().out
    assert SUBJECTS[name].TITLE in printed
    assert rows
    for row in rows:
        assert row.what in printed
        assert math.isfinite(row.value)
        assert row.value >= 0
        assert row.ratio is not None, "a figure without a baseline says nothing"
        assert "NOT DELIVERED" not in row.note


def test_the_program_says_where_it_ran_and_keeps_the_figures(tmp_path: Path):
    kept = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "ring", "--json", str(kept)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "collector")])
    done = subprocess.run(
        command, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert not done.stderr
    figures = json.loads(kept.read_text())
    assert f"python    {figures['machine']['python']}" in done.stdout
    (row,) = figures["rows"]["ring"]
    assert row["ratio"] == pytest.approx(row["value"] / row["baseline"])


def test_an_unknown_subject_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--only", "everything"])

    assert ended.value.code == 2
    assert "'everything'" in capsys.readouterr().err


def test_variants_take_turns_in_changing_order():
    order: list[str] = []

    def step(name: str) -> int:
        order.append(name)
        return len(order)

    found = interleaved({name: lambda name=name: step(name) for name in "abc"}, 30)

    turns = ["".join(order[at : at + 3]) for at in range(0, 90, 3)]
    assert set(turns) == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert [order[place - 1] for place in found["b"]] == ["b"] * 30


def test_no_repetition_is_begun_after_the_limit():
    assert interleaved({"a": lambda: 1}, 1000, limit_s=0) == {"a": [1]}


def test_a_percentile_of_too_few_samples_is_none():
    samples = [float(number) for number in range(1, 102)]

    assert median(samples) == 51
    assert percentile(samples, 0.99) == 100
    assert percentile(samples, 0.999) is None


def test_a_table_shows_what_is_there_and_aligns_it():
    rows = [
        Row("encode", 0.3, "us", "an empty function", 0.1, p99=12.0),
        Row("exit", 1234.5, "ms", "without recost", 20.0, note="slow"),
    ]

    assert [line.split() for line in draw(rows)] == [
        ["median", "p99", "against", "median", "ratio"],
        ["encode", "0.30", "12.0", "us", "an", "empty", "function", "0.10", "x", "3.00"],
        ["exit", "1,234", "ms", "without", "recost", "20.0", "x", "61.7", "slow"],
    ]
    assert len({line.index("us") for line in draw(rows[:1])[1:]}) == 1


@pytest.mark.parametrize(("value", "shown"), [(0.0123, "0.01"), (9.99, "9.99"), (12.34, "12.3"), (98765.4, "98,765")])
def test_a_figure_has_about_three_digits(value: float, shown: str):
    assert figure(value) == shown


def test_a_place_gives_the_environment_back_and_leaves_no_folder():
    before = dict(os.environ)

    with place(RECOST_PROJECT_ID="bench") as here:
        assert os.environ["RECOST_RUNTIME_DIR"] == here.runtime
        assert os.environ["RECOST_PROJECT_ID"] == "bench"

    assert dict(os.environ) == before
    assert not any(os.path.exists(os.path.dirname(folder)) for folder in here)
