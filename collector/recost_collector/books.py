"""What windows add up to: per provider, endpoint and environment, per tag, per model; and the same over time.

Lines are added in parts, by several processes, and the parts merged: the order changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from recost_collector.sums import Sums, merged
from recost_collector.views import NO_MODEL, UNTAGGED, Key, ModelView, TagView
from recost_collector.window_line import Window

MAX_SLOTS = 120
"""Of a timeline: what a chart has room for."""
SLOT_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 10800, 21600, 86400, 7 * 86400, 28 * 86400, 364 * 86400)
"""Each a multiple of the one before."""


class Grouping(NamedTuple):
    """What makes a group: the names of its key's parts, and where among a cell's names these are."""

    columns: tuple[str, ...]
    places: tuple[int, ...] = ()
    """Empty: the groups are those of a view, and what that leaves out."""
    has_sizes: bool = True
    """False: of its groups nobody knows how many bytes went and came."""


GROUPINGS = {
    "provider": Grouping(("provider",), (1,)),
    "endpoint": Grouping(("provider", "endpoint"), (1, 2)),
    "environment": Grouping(("environment",), (0,)),
    "model": Grouping(("provider", "model"), has_sizes=False),
    "tag": Grouping(("tag",)),
}


class Books:
    """Sums of all windows that were added, in every way that may be asked for."""

    def __init__(self, *, with_views: bool) -> None:
        self._cells: dict[tuple[str, str, str], Sums] = {}
        """By environment, provider and endpoint."""
        self._tags = TagView()
        self._models = ModelView()
        self._with_views = with_views

    def add(self, window: Window) -> None:
        cells, environment = self._cells, window.environment
        for entry in window.metrics:
            key = (environment, entry.provider, entry.endpoint)
            sums = cells.get(key)
            if sums is None:
                sums = cells[key] = Sums()
            sums.add(entry)
        if self._with_views:
            self._tags.add(window)
            self._models.add(window)

    def merge(self, other: Books) -> None:
        for key, sums in other._cells.items():
            self._cells.setdefault(key, Sums()).merge(sums)
        self._tags.merge(other._tags)
        self._models.merge(other._models)

    def total(self) -> Sums:
        """Of ``metrics``, which are the whole truth, whatever the views say. No view has a percentile above its."""
        whole = merged(self._cells.values())
        for view in (self._tags, self._models):
            view.lift(whole)
        return whole

    def total_below(self, groups: Mapping[Key, Sums]) -> Sums:
        """The line below ``groups``: the sums of all calls, and such latencies as the groups have.

        Each view has its own: an LLM call lasts longer than the request in it, of a hundred calls the slowest may be
        the one that has a tag.
        """
        whole, rows = merged(self._cells.values()), merged(groups.values())
        whole.max_p50_ms, whole.max_p95_ms = rows.max_p50_ms, rows.max_p95_ms
        whole.total_latency_ms = rows.mean_ms * whole.calls
        return whole

    def groups(self, by: str) -> dict[Key, Sums]:
        """``tag`` and ``model`` only where the views were read, too."""
        if by == "tag":
            return self._tags.groups((UNTAGGED,), self.total())
        if by == "model":
            return self._models.groups((NO_MODEL, NO_MODEL), self.total())
        groups: dict[Key, Sums] = {}
        for cell, sums in self._cells.items():
            groups.setdefault(tuple(cell[place] for place in GROUPINGS[by].places), Sums()).merge(sums)
        return groups


def ranking(groups: dict[Key, Sums]) -> list[tuple[Key, Sums]]:
    """The dearest first, then those with the most calls."""
    return sorted(groups.items(), key=lambda item: (-item[1].cost_pico_usd, -item[1].calls, item[0]))


class Timeline:
    """Books per slot of time, by the windows' start. Slots grow as there come to be too many of them."""

    def __init__(self, *, with_views: bool) -> None:
        self.slots: dict[int, Books] = {}
        """By number: seconds since the epoch divided by ``slot_s``."""
        self._with_views = with_views
        self._size = 0

    @property
    def slot_s(self) -> int:
        return SLOT_SECONDS[self._size]

    def add(self, window: Window) -> None:
        self._books_at(window.window_start.timestamp()).add(window)

    def merge(self, other: Timeline) -> None:
        while self._size < other._size:
            self._coarsen()
        for number, books in other.slots.items():
            self._books_at(number * other.slot_s).merge(books)

    def total(self) -> Books:
        whole = Books(with_views=self._with_views)
        for books in self.slots.values():
            whole.merge(books)
        return whole

    def _books_at(self, at_s: float) -> Books:
        number = int(at_s // self.slot_s)
        books = self.slots.get(number)
        if books is not None:
            return books
        while self._is_too_long_with(number) and self._size + 1 < len(SLOT_SECONDS):
            self._coarsen()
            number = int(at_s // self.slot_s)
        return self.slots.setdefault(number, Books(with_views=self._with_views))

    def _is_too_long_with(self, number: int) -> bool:
        return max(number, *self.slots, number) - min(number, *self.slots, number) >= MAX_SLOTS

    def _coarsen(self) -> None:
        factor = SLOT_SECONDS[self._size + 1] // self.slot_s
        self._size += 1
        slots, self.slots = self.slots, {}
        for number, books in slots.items():
            kept = self.slots.setdefault(number // factor, books)
            if kept is not books:
                kept.merge(books)
