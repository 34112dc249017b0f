"""The views of windows added up, and what they do not account for: calls without a tag, calls of no LLM.

A view is a part of ``metrics``, so the rest is a difference; of percentiles there is none.  What can be told of them is
the highest p50 and p95 of the rows that have calls outside of the view, and those are of the row's other calls, too.
Nor is there one of an LLM call's latency, which is longer than that of the requests in it.
"""

from __future__ import annotations

from collections import Counter

from recost_collector.sums import Sums, merged
from recost_collector.window_line import Window

UNTAGGED = "(untagged)"
NO_MODEL = "(no model)"
TRACKED = "TRACK"
"""In place of a method: the row of an LLM call of which no HTTP call was captured."""

Key = tuple[str, ...]


class View:
    """Groups of one view, and the latencies of what it leaves out."""

    def __init__(self) -> None:
        self._groups: dict[Key, Sums] = {}
        self._outside = Sums()

    def merge(self, other: View) -> None:
        for key, sums in other._groups.items():
            self._group(key).merge(sums)
        self._outside.merge(other._outside)

    def groups(self, rest_key: Key, everything: Sums) -> dict[Key, Sums]:
        """Its groups and, if there is any, the rest of ``everything`` under ``rest_key``."""
        rest = everything.less(merged(self._groups.values()))
        if rest.calls:
            self._tell_latencies(rest)
        return {**self._groups, **({rest_key: rest} if rest.calls or rest.cost_pico_usd else {})}

    def lift(self, whole: Sums) -> None:
        """To its highest percentiles: an LLM call lasts longer than its request, a part of a row may be slower."""
        for sums in self._groups.values():
            whole.lift(sums.max_p50_ms, sums.max_p95_ms)

    def _tell_latencies(self, rest: Sums) -> None:
        rest.lift(self._outside.max_p50_ms, self._outside.max_p95_ms)

    def _group(self, key: Key) -> Sums:
        sums = self._groups.get(key)
        if sums is None:
            sums = self._groups[key] = Sums()
        return sums


class TagView(View):
    """By tag. Of a window whose tags did not fit into one line (1 MB), tagged calls may lift the rest's percentiles."""

    def add(self, window: Window) -> None:
        if not window.tag_metrics:
            self._lift_all(window)
            return
        calls: Counter[tuple[str, str, str]] = Counter()
        for entry in window.tag_metrics:
            self._group((entry.feature_tag,)).add(entry)
            calls[entry.key] += entry.request_count
        for row in window.metrics:
            if row.request_count > calls[row.key]:
                self._outside.lift(row.p50_latency_ms, row.p95_latency_ms)

    def _lift_all(self, window: Window) -> None:
        """Nothing of this window is in the view, as mostly."""
        outside = self._outside
        for row in window.metrics:
            if row.p95_latency_ms > outside.max_p95_ms or row.p50_latency_ms > outside.max_p50_ms:
                outside.lift(row.p50_latency_ms, row.p95_latency_ms)


class ModelView(View):
    """By provider and model. The rest's latencies are those of all captured calls, the ones within LLM calls, too."""

    def add(self, window: Window) -> None:
        for entry in window.llm_metrics:
            self._group((entry.provider, entry.model)).add_llm(entry)
        for row in window.metrics:
            if row.method != TRACKED and row.request_count:
                self._outside.add_latencies(row)

    def _tell_latencies(self, rest: Sums) -> None:
        super()._tell_latencies(rest)
        rest.total_latency_ms = self._outside.mean_ms * rest.calls
