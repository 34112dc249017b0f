"""What a view does not account for: all calls less the tagged ones, all calls less those of LLMs.

``tagMetrics`` is a view of ``metrics``, so the rest is a difference; of latencies there is none.  What can be told of
them is the highest p50 and p95 of the rows that have untagged calls, and those are of the row's tagged calls, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from recost_collector.sums import Sums
from recost_collector.window_line import Entry, LlmEntry, TagEntry

UNTAGGED = "(untagged)"
NO_MODEL = "(no model)"
TRACKED = "TRACK"
"""In place of a method: the row of an LLM call of which no HTTP call was captured."""


class Untagged:
    """Of all windows that are read."""

    def __init__(self) -> None:
        self.all = Sums()
        self._tagged = Sums()
        self._shared = Sums()

    def add(self, entries: Iterable[Entry], tagged: Iterable[TagEntry]) -> None:
        """One window's."""
        calls: Counter[tuple[str, str, str]] = Counter()
        for entry in tagged:
            self._tagged.add(entry)
            calls[entry.key] += entry.request_count
        for row in entries:
            self.all.add(row)
            if row.request_count > calls[row.key]:
                self._shared.lift(row.p50_latency_ms, row.p95_latency_ms)

    def rest(self) -> Sums:
        """Empty when every call has a tag."""
        rest = self.all.less(self._tagged)
        if rest.calls:
            rest.lift(self._shared.max_p50_ms, self._shared.max_p95_ms)
        return rest


class WithoutModel:
    """Of all windows that are read: calls of no LLM, and the estimates of those of which no more is known."""

    def __init__(self) -> None:
        self.all = Sums()
        self._llm = Sums()
        self._shared = Sums()

    def add(self, entries: Iterable[Entry], llm: Iterable[LlmEntry]) -> None:
        """One window's."""
        for entry in llm:
            self._llm.add_llm(entry)
        for row in entries:
            self.all.add(row)
            if row.method != TRACKED and row.request_count:
                self._shared.lift(row.p50_latency_ms, row.p95_latency_ms)

    def rest(self) -> Sums:
        """Empty when every call is one of an LLM."""
        rest = self.all.less(self._llm)
        if rest.calls:
            rest.lift(self._shared.max_p50_ms, self._shared.max_p95_ms)
        return rest
