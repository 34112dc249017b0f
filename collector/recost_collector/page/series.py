"""What the charts show: sums per slot of time, all slots from the first to the last, the dearest groups by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from recost_collector.books import Timeline
from recost_collector.sums import Sums, merged
from recost_collector.views import Key

MOST_NAMED = 7
"""Groups that a chart names; the others are one more."""
MOST_SLOTS = 1000
"""Far more than a timeline has, unless a window says that it is of another millennium."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LABELS = ((60, "%H:%M:%S"), (3600, "%H:%M"), (86400, "%m-%d %H:%M"))
_FULL_LABELS = ((60, "%Y-%m-%d %H:%M:%S"), (86400, "%Y-%m-%d %H:%M"))
_DAY = "%Y-%m-%d"


class Series(NamedTuple):
    """One group over time."""

    name: str
    slots: list[Sums]


class Axis(NamedTuple):
    """The slots of a chart."""

    numbers: range
    slot_s: int

    def label(self, at: int) -> str:
        """A short one, for beside the others."""
        return _label(self.numbers[at] * self.slot_s, self.slot_s, _LABELS)

    def full_label(self, at: int) -> str:
        return _label(self.numbers[at] * self.slot_s, self.slot_s, _FULL_LABELS)


def axis_of(timeline: Timeline) -> Axis:
    last = max(timeline.slots)
    return Axis(range(max(min(timeline.slots), last - MOST_SLOTS + 1), last + 1), timeline.slot_s)


def totals(timeline: Timeline, axis: Axis) -> list[Sums]:
    """Of each slot."""
    return [timeline.slots[number].total() if number in timeline.slots else Sums() for number in axis.numbers]


def stack(timeline: Timeline, axis: Axis, by: str, ranked: Sequence[Key]) -> list[Series]:
    """The first groups of ``ranked``, and the rest of them together, if there is more than one."""
    named = ranked if len(ranked) <= MOST_NAMED + 1 else ranked[:MOST_NAMED]
    series = [Series(title(key), []) for key in named]
    rest = Series(f"{len(ranked) - len(named):,} others", [])
    for number in axis.numbers:
        books = timeline.slots.get(number)
        groups = books.groups(by) if books is not None else {}
        for key, each in zip(named, series):
            each.slots.append(groups.pop(key) if key in groups else Sums())
        rest.slots.append(merged(groups.values()))
    return [*series, rest] if len(named) < len(ranked) else series


def title(key: Key) -> str:
    """Of a group, its parts once."""
    return " ".join(dict.fromkeys(key))


def slot_length(slot_s: int) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if slot_s % length == 0:
            number = slot_s // length
            return unit if number == 1 else f"{number} {unit}s"
    return "second" if slot_s == 1 else f"{slot_s} seconds"


def _label(at_s: int, slot_s: int, formats: tuple[tuple[int, str], ...]) -> str:
    try:
        moment = _EPOCH + timedelta(seconds=at_s)
    except OverflowError:  # a slot may begin before the first date there is
        return "?"
    return moment.strftime(next((form for below, form in formats if slot_s < below), _DAY))
