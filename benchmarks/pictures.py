"""The pictures of a run, for the README: ``docs/pictures/bench-*.svg``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.caller import STUBBED
from benchmarks.place import ROOT
from benchmarks.products import CONTROL
from benchmarks.rows import figure
from benchmarks.run import Run
from benchmarks.svg import Bar, Strip, bars, strips

FOLDER = ROOT / "docs" / "pictures"


class Picture(NamedTuple):
    path: Path
    title: str
    draw: Callable[[Run], str]
    """Empty if the run has nothing to show there."""


def draw_all(run: Run) -> dict[Path, str]:
    drawn = {picture.path: picture.draw(run) for picture in (CALLS, *REST)}
    return {path: svg for path, svg in drawn.items() if svg}


def _calls(run: Run) -> str:
    added: dict[str, list[float]] = {}
    for row in run.table("capture").rows:
        if row.case.get("wire") == STUBBED and "at_once" not in row.case and row.captured != 0:
            added.setdefault(row.case["product"], []).append(row.value)
    noise = max(map(abs, added.pop(CONTROL, [1.0])))
    rows = [Strip(product, values, product == "recost") for product, values in added.items()]
    return strips(CALLS.title, "µs, a dot for each client; grey: noise", rows, noise) if rows else ""


def _workers(run: Run) -> str:
    rows = [row for row in run.table("workers").rows if row.case.get("pace") == "0"]
    found = [
        Bar(
            f"{row.case['workers']} worker{'s' if row.case['workers'] != '1' else ''}",
            row.value,
            f"{figure(row.value)} a second, {figure(row.also['% dropped'])} % dropped",
        )
        for row in rows
    ]
    return bars(WORKERS.title, found) if found else ""


def _collector(run: Run) -> str:
    found = [
        Bar(row.what, row.value, f"{figure(row.value)} a second, {figure(1e6 / row.value)} µs each")
        for row in run.table("collector").rows
    ]
    return bars(COLLECTOR.title, found) if found else ""


CALLS = Picture(FOLDER / "bench-calls.svg", "Time added to a call, median, stubbed wire", _calls)
COLLECTOR = Picture(FOLDER / "bench-collector.svg", "Events that one core of a collector takes in", _collector)
WORKERS = Picture(
    FOLDER / "bench-workers.svg", "Events taken by the rings while workers call as fast as they can", _workers
)
REST = (COLLECTOR, WORKERS)
