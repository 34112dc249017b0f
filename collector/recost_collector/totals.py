"""What became of the records of rings and the windows of destinations that are no more, as ``status`` shows it.

Committed with what they count, so a restart neither forgets any nor doubles it.
"""

from __future__ import annotations

from collections.abc import Iterable

from recost_collector.drain import MOST
from recost_collector.source import Source

LAST_AT = "at."
"""Begins the names of rows that say when the last worker went of whom that was counted, in ms since the epoch."""
TIMED = ("dropped_full", "dropped_big", "lost")


class Totals:
    """The loop's alone. ``counters`` are the sums as they are committed, by the names of their rows."""

    def __init__(self, counters: dict[str, int]) -> None:
        self.counters = counters
        self._at_start = counters

    def gather(
        self, finished: Iterable[Source], discarded_rings: int, dropped_windows: int, now_ms: int
    ) -> dict[str, int]:
        """What the next transaction is to note: nothing when nothing is new.

        ``finished``: rings that go with that transaction.  The other two: how many since this leader began.
        """
        totals = dict(self.counters)
        for name, since in (("discarded_rings", discarded_rings), ("dropped_windows", dropped_windows)):
            if since:
                totals[f"count.{name}"] = self._at_start.get(f"count.{name}", 0) + since
        for source in finished:
            for name, value in source.totals().items():
                totals[f"count.{name}"] = min(MOST, totals.get(f"count.{name}", 0) + value)
                if value and name in TIMED:
                    totals[f"{LAST_AT}{name}"] = now_ms
        return {} if totals == self.counters else totals

    def take_over(self, totals: dict[str, int]) -> None:
        """With those of an adopted spool, as they are committed."""
        start = self._at_start
        added = {name: value - self.counters.get(name, 0) for name, value in totals.items()}
        self._at_start = {**start, **{name: start.get(name, 0) + more for name, more in added.items()}}
        self.counters = {**self.counters, **totals}

    def committed(self, totals: dict[str, int]) -> None:
        """That transaction is done."""
        self.counters = totals or self.counters
