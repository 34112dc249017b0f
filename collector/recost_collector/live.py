"""What the calls of all sessions add up to since this collector leads; and of the last minute, while somebody watches.

It is given each open window's additions once, when these are committed or closed with it: nothing of it happens per
call, and where nobody watches, no latency is kept.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Protocol

import msgspec

from recost.latency import Latencies
from recost.windows import Window

GENERATION_S = 15.0
GENERATIONS = 4
"""That are full: the last minute and the one that is being filled."""
FORGET_S = 60.0
"""After the last look."""
MAX_ROWS = 500
"""Of one view. What does not fit is counted together under ``OTHER``."""
MAX_TOLD = 200
OTHER = "other"
EXACT = 256
"""Latencies of a row that are kept as they are."""

Names = tuple[str, ...]
_VIEWS = ("total", "provider", "endpoint", "tag", "model")


class Row(msgspec.Struct):
    """``recent``: of the last minute or so, see ``Watched.span_s``. Money: pico-dollars."""

    names: Names
    calls: int = 0
    errors: int = 0
    cost: int = 0
    recent_calls: int = 0
    recent_errors: int = 0
    recent_cost: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0


class Watched(msgspec.Struct):
    """What the leader tells who watches."""

    since_ms: int
    """When the figures begin, in ms since the epoch; those that are not recent."""
    span_s: float
    """How long it is that the recent ones are of."""
    total: Row
    views: dict[str, list[Row]]
    """The dearest rows by provider, endpoint, tag and model."""


class _Part(Protocol):
    """A row of a window."""

    errors: int
    cost_pico_usd: int
    latencies: Latencies


class _Recent:
    """A row of one generation."""

    __slots__ = ("cost", "errors", "latencies")

    def __init__(self) -> None:
        self.errors = 0
        self.cost = 0
        self.latencies = Latencies()  # it also counts the calls

    def add(self, errors: int, cost: int, latencies: Latencies) -> None:
        self.errors += errors
        self.cost += cost
        self.latencies.merge(latencies)
        if len(self.latencies.samples) > EXACT:
            self.latencies.fold()


class _Generation:
    """The rows of some seconds."""

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.rows: dict[tuple[str, Names], _Recent] = {}


class Live:
    """The loop's alone. ``now``: monotonic seconds."""

    def __init__(self) -> None:
        self._since_ms = time.time_ns() // 1_000_000
        self._rows: dict[str, dict[Names, Row]] = {view: {} for view in _VIEWS}
        self._generations: deque[_Generation] = deque(maxlen=GENERATIONS + 1)
        self._looked_at = 0.0

    def add(self, delta: Window) -> None:
        for view, names, part in _parts(delta):
            rows = self._rows[view]
            row = rows.get(names)
            if row is None:
                row = _new_row(rows, names)
            row.calls += part.latencies.count
            row.errors += part.errors
            row.cost += part.cost_pico_usd
            if self._generations:
                recent = self._generations[-1].rows.setdefault((view, row.names), _Recent())
                recent.add(part.errors, part.cost_pico_usd, part.latencies)

    def tick(self, now: float) -> None:
        """Once a turn: forget what nobody looks at any more."""
        if self._generations and now - self._looked_at > FORGET_S:
            self._generations.clear()

    def look(self, now: float) -> Watched:
        """Somebody watches. From the first look on there is a recent past."""
        self._looked_at = now
        if not self._generations or now - self._generations[-1].began_at >= GENERATION_S:
            self._generations.append(_Generation(now))
        return Watched(
            since_ms=self._since_ms,
            span_s=now - self._generations[0].began_at,
            total=self._told("total", Row(())),
            views={view: self._ranking(view) for view in _VIEWS[1:]},
        )

    def _ranking(self, view: str) -> list[Row]:
        rows = [self._told(view, row) for row in self._rows[view].values()]
        rows.sort(key=lambda row: (-row.recent_cost, -row.recent_calls, -row.cost, -row.calls, row.names))
        return rows[:MAX_TOLD]

    def _told(self, view: str, row: Row) -> Row:
        recent = _Recent()
        for generation in self._generations:
            part = generation.rows.get((view, row.names))
            if part is not None:
                recent.add(part.errors, part.cost, part.latencies)
        p50, p95 = recent.latencies.percentiles_ms(50, 95)
        return msgspec.structs.replace(
            self._rows[view].get(row.names, row),
            recent_calls=recent.latencies.count,
            recent_errors=recent.errors,
            recent_cost=recent.cost,
            p50_ms=p50,
            p95_ms=p95,
        )


def _parts(delta: Window) -> Iterator[tuple[str, Names, _Part]]:
    for (provider, endpoint, _), bucket in delta.buckets():
        yield "total", (), bucket
        yield "provider", (provider,), bucket
        yield "endpoint", (provider, endpoint), bucket
    for tag, tagged in delta.by_tag():
        yield "tag", (tag,), tagged
    for names, found in delta.by_model():
        yield "model", names, found


def _new_row(rows: dict[Names, Row], names: Names) -> Row:
    if len(rows) >= MAX_ROWS:
        names = (OTHER,) * len(names)
    return rows.setdefault(names, Row(names))
