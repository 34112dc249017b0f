"""One figure beside its baseline, and a table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Optional

from benchmarks.measure import median, percentile

TITLES = ("", "median", "quartiles", "p99", "p99.9", "", "against", "median", "ratio", "captured", "")
TEXTS = (0, 5, 6, 10)
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
    quartiles: Optional[tuple[float, float]] = None
    made: Optional[int] = None
    captured: Optional[int] = None
    """Of the calls ``made`` while this was measured, those that were counted at the other end."""
    case: Mapping[str, str] = MappingProxyType({})
    """What ``what`` says, for programs."""
    also: Mapping[str, float] = MappingProxyType({})
    """Other figures of the same measurement, by what they are."""

    @property
    def ratio(self) -> Optional[float]:
        return self.value / self.baseline if self.baseline else None

    def to_data(self) -> dict[str, Any]:
        """For JSON. What was not measured is left out."""
        data = {**self._asdict(), "case": dict(self.case), "also": dict(self.also), "ratio": self.ratio}
        return {name: value for name, value in data.items() if value not in (None, "", {})}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Row:
        """The inverse."""
        known = {name: value for name, value in data.items() if name in cls._fields}
        if "quartiles" in known:
            known["quartiles"] = tuple(known["quartiles"])
        return cls(**known)


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
        "" if row.quartiles is None else "{} to {}".format(*map(figure, row.quartiles)),
        figure(row.p99),
        figure(row.p999),
        row.unit,
        row.against,
        figure(row.baseline),
        "" if row.ratio is None else f"x {figure(row.ratio)}",
        "" if row.made is None or row.captured is None else f"{row.captured:,} of {row.made:,}",
        "; ".join(
            [*(f"{name} {figure(value)}" for name, value in row.also.items()), *([row.note] if row.note else [])]
        ),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = [
        cell.ljust(wide) if at in TEXTS else cell.rjust(wide)
        for at, (cell, wide) in enumerate(zip(cells, widths))
        if wide
    ]
    return GAP.join(shown).rstrip()
