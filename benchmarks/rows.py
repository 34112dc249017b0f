"""One figure beside its baseline, and a table of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from benchmarks.measure import median, percentile

TITLES = ("", "median", "p99", "p99.9", "", "against", "median", "ratio", "")
TEXTS = (0, 4, 5, 8)
"""Columns that are aligned left."""
GAP = "  "


class Row(NamedTuple):
    """``value`` is a median in ``unit``, and so is ``baseline``, which ``against`` names."""

    what: str
    value: float
    unit: str
    against: str = ""
    baseline: Optional[float] = None
    p99: Optional[float] = None
    p999: Optional[float] = None
    note: str = ""

    @property
    def ratio(self) -> Optional[float]:
        return self.value / self.baseline if self.baseline else None

    def to_data(self) -> dict[str, Any]:
        """For JSON. What was not measured is left out."""
        data = {**self._asdict(), "ratio": self.ratio}
        return {name: value for name, value in data.items() if value not in {None, ""}}


def compare(what: str, samples: Sequence[float], unit: str, against: str, baseline: Sequence[float]) -> Row:
    """The row of two medians."""
    return Row(what, median(samples), unit, against, median(baseline))


def compare_tails(what: str, samples: Sequence[float], unit: str, against: str, baseline: Sequence[float]) -> Row:
    """The same with the percentiles, for which ``samples`` are single runs and no means."""
    row = compare(what, samples, unit, against, baseline)
    return row._replace(p99=percentile(samples, 0.99), p999=percentile(samples, 0.999))


def draw(rows: Sequence[Row]) -> list[str]:
    """The lines of a table."""
    cells = [TITLES, *(_cells(row) for row in rows)]
    # A column in which there is only a title is left out.
    widths = [
        max(len(line[at]) for line in cells) if any(line[at] for line in cells[1:]) else 0 for at in range(len(TITLES))
    ]
    return [_line(line, widths) for line in cells]


def figure(value: Optional[float]) -> str:
    """About three digits."""
    if value is None:
        return ""
    places = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{places}f}"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.what,
        figure(row.value),
        figure(row.p99),
        figure(row.p999),
        row.unit,
        row.against,
        figure(row.baseline),
        "" if row.ratio is None else f"x {figure(row.ratio)}",
        row.note,
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = [
        cell.ljust(wide) if at in TEXTS else cell.rjust(wide)
        for at, (cell, wide) in enumerate(zip(cells, widths))
        if wide
    ]
    return GAP.join(shown).rstrip()
