"""One bucket of a window: the sums of one (provider, endpoint, method).

Money is counted in pico-dollars (1e-12 USD), as whole numbers: sums have no rounding, in whatever order.
"""

from __future__ import annotations

from typing import Annotated, Any, Optional

import msgspec

from recost.calls import BucketKey, Calls
from recost.event import NS_PER_MS, CallEvent, LlmEvent
from recost.latency import INDEX_MAX, Latencies
from recost.wire import MetricEntry, TagEntry

PICO_USD_PER_CENT = 10**10

UNKNOWN_PROVIDER = "unknown"
"""The provider of hosts without a rule."""

_INT64_MAX = (1 << 63) - 1


def pico_usd(cents: float) -> int:
    """``cents`` in the unit of all sums. What is no amount (negative, infinite, not a number) is 0."""
    return round(cents * PICO_USD_PER_CENT) if 0 <= cents < _INT64_MAX // PICO_USD_PER_CENT else 0


class Row(msgspec.Struct, array_like=True):
    """A bucket as plain data. Fields are only ever appended."""

    provider: str
    endpoint: str
    method: str
    errors: int
    request_bytes: int
    response_bytes: int
    cost_pico_usd: int
    exact: bytes
    counts: dict[Annotated[int, msgspec.Meta(ge=0, le=INDEX_MAX)], int]
    folded_ns: int
    estimates: int = 0
    estimated_pico_usd: int = 0


class Bucket:
    """What the calls to one endpoint add up to. One thread at a time."""

    __slots__ = (
        "cost_pico_usd", "errors", "estimated_pico_usd", "estimates", "latencies", "request_bytes", "response_bytes",
    )  # fmt: skip

    def __init__(self, latencies: Optional[Latencies] = None) -> None:
        self.errors = 0
        self.request_bytes = 0
        self.response_bytes = 0
        self.cost_pico_usd = 0
        self.estimates = 0  # calls whose cost is a rule's estimate; below 0 in a delta that takes some back
        self.estimated_pico_usd = 0  # and what of the cost that is
        self.latencies = latencies if latencies is not None else Latencies()  # it also counts the calls

    def add(self, event: CallEvent, cost_pico_usd: int) -> None:
        """Count ``event``."""
        self.latencies.add(event.duration_ns)
        if event.error:
            self.errors += 1
        self.request_bytes += event.request_bytes
        self.response_bytes += event.response_bytes
        if cost_pico_usd:
            self.add_estimate(1, cost_pico_usd)

    def take(self, calls: Calls) -> None:
        """Count all of them."""
        self.latencies.extend(calls.durations_ns)
        self.errors += calls.errors
        self.request_bytes += calls.request_bytes
        self.response_bytes += calls.response_bytes
        if calls.cost_pico_usd:
            self.add_estimate(calls.count, calls.count * calls.cost_pico_usd)

    def add_estimate(self, calls: int, pico_usd: int) -> None:
        """The cost of ``calls`` is an estimate; below 0: it is none any more."""
        self.cost_pico_usd += pico_usd
        self.estimates += calls
        self.estimated_pico_usd += pico_usd

    def add_llm(self, event: LlmEvent, cost_pico_usd: int) -> None:
        """Count the cost of ``event``, and the call itself when no HTTP call did."""
        self.cost_pico_usd += cost_pico_usd
        if not event.netloc:
            self.latencies.add(event.duration_ns)
            self.errors += event.error

    def merge(self, other: Bucket) -> None:
        """Add what ``other`` holds, which stays as it is."""
        self.errors += other.errors
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        self.cost_pico_usd += other.cost_pico_usd
        self.estimates += other.estimates
        self.estimated_pico_usd += other.estimated_pico_usd
        self.latencies.merge(other.latencies)

    def to_entry(self, key: BucketKey) -> MetricEntry:
        return MetricEntry(*key, **self._figures())

    def to_tag_entry(self, tag: str, key: BucketKey) -> TagEntry:
        return TagEntry(*key, **self._figures(), feature_tag=tag)

    def _figures(self) -> dict[str, Any]:
        p50, p95 = self.latencies.percentiles_ms(50, 95)
        return {
            "request_count": self.latencies.count,
            "error_count": self.errors,
            "total_latency_ms": round(self.latencies.total_ns / NS_PER_MS, 3),
            "p50_latency_ms": round(p50, 3),
            "p95_latency_ms": round(p95, 3),
            "total_request_bytes": to_int64(self.request_bytes),
            "total_response_bytes": to_int64(self.response_bytes),
            "estimated_cost_cents": self.cost_pico_usd / PICO_USD_PER_CENT,
        }

    def to_row(self, key: BucketKey) -> Row:
        exact, counts, folded_ns = self.latencies.to_data()
        return Row(
            *key,
            errors=self.errors,
            request_bytes=to_int64(self.request_bytes),
            response_bytes=to_int64(self.response_bytes),
            cost_pico_usd=to_int64(self.cost_pico_usd),
            exact=exact,
            counts=counts,
            folded_ns=to_int64(folded_ns),
            estimates=self.estimates,
            estimated_pico_usd=to_int64(self.estimated_pico_usd),
        )

    @classmethod
    def from_row(cls, row: Row) -> Bucket:
        bucket = cls(Latencies.from_data(row.exact, row.counts, row.folded_ns))
        bucket.errors = row.errors
        bucket.request_bytes = row.request_bytes
        bucket.response_bytes = row.response_bytes
        bucket.cost_pico_usd = row.cost_pico_usd
        bucket.estimates = row.estimates
        bucket.estimated_pico_usd = row.estimated_pico_usd
        return bucket


def to_int64(value: int) -> int:
    """Only a hostile worker gets a sum out of this range; it must not make a window impossible to keep or to read."""
    return min(max(value, -_INT64_MAX), _INT64_MAX)
