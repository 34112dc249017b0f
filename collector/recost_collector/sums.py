"""What entries of windows add up to, as a report needs it."""

from __future__ import annotations

from collections.abc import Iterable

from recost.bucket import pico_usd
from recost_collector.window_line import Entry, LlmEntry

CENTS_PER_USD = 100


class Sums:
    """What the entries of a group add up to. Of percentiles only the highest can be told."""

    __slots__ = (
        "calls", "cost_pico_usd", "errors", "max_p50_ms", "max_p95_ms", "request_bytes", "response_bytes",
        "total_latency_ms", "unpriced",
    )  # fmt: skip

    def __init__(self) -> None:
        self.calls = 0
        self.errors = 0
        self.total_latency_ms = 0.0
        self.max_p50_ms = 0.0
        self.max_p95_ms = 0.0
        self.request_bytes = 0
        self.response_bytes = 0
        self.cost_pico_usd = 0
        self.unpriced = 0
        """Of the calls: of LLMs, and what they cost is not known. Known to the view by model alone."""

    @property
    def mean_ms(self) -> float:
        return self.total_latency_ms / self.calls if self.calls else 0.0

    def add(self, entry: Entry) -> None:
        self.calls += entry.request_count
        self.errors += entry.error_count
        self.total_latency_ms += entry.total_latency_ms
        self.request_bytes += entry.total_request_bytes
        self.response_bytes += entry.total_response_bytes
        cents = entry.estimated_cost_cents
        if cents:
            self.cost_pico_usd += pico_usd(cents)
        p50_ms, p95_ms = entry.p50_latency_ms, entry.p95_latency_ms
        if p50_ms > self.max_p50_ms:  # noqa: PLR1730 - what lift() does, without a call: this is done for each entry
            self.max_p50_ms = p50_ms
        if p95_ms > self.max_p95_ms:  # noqa: PLR1730 - likewise
            self.max_p95_ms = p95_ms

    def add_latencies(self, entry: Entry) -> None:
        """Nothing else of it."""
        self.calls += entry.request_count
        self.total_latency_ms += entry.total_latency_ms
        if entry.p95_latency_ms > self.max_p95_ms or entry.p50_latency_ms > self.max_p50_ms:
            self.lift(entry.p50_latency_ms, entry.p95_latency_ms)

    def add_llm(self, entry: LlmEntry) -> None:
        self.calls += entry.request_count
        self.errors += entry.error_count
        self.total_latency_ms += entry.total_latency_ms
        self.cost_pico_usd += pico_usd(entry.cost_usd * CENTS_PER_USD)
        self.unpriced += entry.unpriced_count
        self.lift(entry.p50_latency_ms, entry.p95_latency_ms)

    def merge(self, other: Sums) -> None:
        self.calls += other.calls
        self.errors += other.errors
        self.total_latency_ms += other.total_latency_ms
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        self.cost_pico_usd += other.cost_pico_usd
        self.unpriced += other.unpriced
        self.lift(other.max_p50_ms, other.max_p95_ms)

    def less(self, part: Sums) -> Sums:
        """What is left without ``part``, never below 0: other programs write these files, too. No percentiles."""
        rest = Sums()
        rest.calls = max(0, self.calls - part.calls)
        rest.errors = max(0, self.errors - part.errors)
        rest.total_latency_ms = max(0.0, self.total_latency_ms - part.total_latency_ms)
        rest.request_bytes = max(0, self.request_bytes - part.request_bytes)
        rest.response_bytes = max(0, self.response_bytes - part.response_bytes)
        rest.cost_pico_usd = max(0, self.cost_pico_usd - part.cost_pico_usd)
        return rest

    def lift(self, p50_ms: float, p95_ms: float) -> None:
        self.max_p50_ms = max(self.max_p50_ms, p50_ms)
        self.max_p95_ms = max(self.max_p95_ms, p95_ms)


def merged(parts: Iterable[Sums]) -> Sums:
    """All of them together."""
    whole = Sums()
    for part in parts:
        whole.merge(part)
    return whole
