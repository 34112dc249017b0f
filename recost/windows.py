"""Windows: events counted per (provider, endpoint, method).

Pure: no I/O and no clock; every time is an argument or comes with an event.  Sums are whole numbers (ns, bytes,
pico-dollars) until they leave, so they do not depend on the order in which parts are added or merged.

The collector keeps two ``Window`` for each open window: what is committed, and the delta since the last commit.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import KeysView
from typing import Optional

import msgspec

from recost._version import __version__
from recost.bucket import UNKNOWN_PROVIDER, Bucket, BucketKey, Row, pico_usd, to_int64
from recost.event import NS_PER_MS, UNDECODABLE, CallEvent, LlmEvent, RawEvent
from recost.latency import EXACT_LIMIT
from recost.llm_rows import LlmCalls, LlmRow
from recost.tagged import Tagged, TaggedRow
from recost.wire import FlushStatus, MetricEntry, WindowSummary, iso_time, to_frames

__all__ = [
    "EXACT_PER_WINDOW",
    "MAX_BUCKETS",
    "OVERFLOW_KEY",
    "Aggregator",
    "Bucket",
    "BucketKey",
    "FlushStatus",
    "MetricEntry",
    "Window",
    "WindowSummary",
    "iso_time",
    "pico_usd",
    "to_frames",
]

MAX_BUCKETS = 2000
"""Default of ``max_buckets``: distinct (provider, endpoint, method) in one window."""
EXACT_PER_WINDOW = 100_000
"""Latencies of one window that are kept as they are; beyond it the busiest buckets go over to histograms."""
OVERFLOW_KEY = ("other", "other", "OTHER")
"""Where ``Aggregator`` counts what no longer fits."""
_NEVER_NS = (1 << 63) - 1


class _Data(msgspec.Struct, array_like=True):
    """A window as plain data. Fields are only ever appended."""

    rows: list[Row]
    started_at_ns: int
    tagged: list[TaggedRow] = []  # msgspec copies it
    llm: list[LlmRow] = []
    without_call: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Data).decode


class Window:
    """Buckets in order of first appearance. One thread at a time.

    ``count`` is the number of events; ``started_at_ns`` is when the earliest of them began, 2**63 - 1 without any.
    ``max_tagged_rows`` bounds the view by tag, beside the number of tags.
    """

    __slots__ = ("_buckets", "_estimated", "_llm", "_look_at", "_tagged", "_without_call", "count", "started_at_ns")

    def __init__(self, max_tagged_rows: int = MAX_BUCKETS) -> None:
        self._buckets: dict[BucketKey, Bucket] = {}
        self._tagged = Tagged(max_tagged_rows)
        self._llm = LlmCalls(max_tagged_rows)
        self._estimated: dict[BucketKey, None] = {}  # which buckets hold estimates, in order of first appearance
        self._without_call = 0  # of ``count``: events that only added a cost to what had counted the call
        self._look_at = EXACT_PER_WINDOW  # before ``count`` is here there cannot be too many exact latencies
        self.count = 0
        self.started_at_ns = _NEVER_NS

    def __contains__(self, key: object) -> bool:
        return key in self._buckets

    @property
    def bucket_count(self) -> int:
        return len(self._buckets)

    def keys(self) -> KeysView[BucketKey]:
        return self._buckets.keys()

    def add(self, key: BucketKey, event: CallEvent, cost_pico_usd: int = 0) -> None:  # noqa: C901 - hot, so no calls
        """Count ``event`` in the bucket ``key``. How many buckets there may be is the caller's to watch."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket()
        samples = bucket.samples
        try:
            samples.append(event.duration_ns)  # what latencies.add() does, without the call
        except OverflowError:
            bucket.latencies.add(event.duration_ns)
        if len(samples) > EXACT_LIMIT:
            bucket.latencies.fold()
        status = event.status
        if status >= 400 or not status:
            bucket.errors += 1
        bucket.request_bytes += event.request_bytes
        bucket.response_bytes += event.response_bytes
        if cost_pico_usd:
            bucket.cost_pico_usd += cost_pico_usd  # what add_estimate() does, without the call
            bucket.estimated_pico_usd += cost_pico_usd
            bucket.estimates += 1
            self._estimated[key] = None
        if event.tag:
            self._tagged.add(key, event, cost_pico_usd)
            self._look_at -= 1  # for the latency that is kept twice
        if event.at_ns < self.started_at_ns:  # noqa: PLR1730 - min() is a call, on the hot path
            self.started_at_ns = event.at_ns
        self.count = count = self.count + 1
        if count > self._look_at:
            self._bound_exact()

    def add_llm(self, key: BucketKey, event: LlmEvent, cost_pico_usd: int) -> None:
        """Count an LLM call under its model, and its cost in the bucket ``key``; the call, too, if nothing else did."""
        self._buckets.setdefault(key, Bucket()).add_llm(event, cost_pico_usd)
        self._llm.add(event)
        self._look_at -= 2
        if event.tag:
            self._tagged.add_llm(key, event, cost_pico_usd)
            self._look_at -= 1
        if event.netloc:
            self._without_call += 1
        self.started_at_ns = min(self.started_at_ns, event.at_ns)
        self.count += 1
        if self.count > self._look_at:
            self._bound_exact()

    def estimated(self) -> KeysView[BucketKey]:
        """The buckets with calls that were counted at an estimate."""
        return self._estimated.keys()

    def take_estimate(self, key: BucketKey, tag: str, also: Window) -> bool:
        """Take the estimate of one call off ``key``, best of one with ``tag``. False: this and ``also`` hold none.

        ``also`` stays as it is: what it holds is taken off here, and is right when the two are merged.
        """
        both = [each for each in (self._buckets.get(key), also._buckets.get(key)) if each is not None]
        calls = sum(bucket.estimates for bucket in both)
        if calls <= 0:
            return False
        pico = sum(bucket.estimated_pico_usd for bucket in both) // calls
        by_tag = Counter(also._tagged.estimates(key))
        by_tag.update(self._tagged.estimates(key))
        tagged = {name: count for name, count in by_tag.items() if count > 0}
        self._buckets.setdefault(key, Bucket()).add_estimate(-1, -pico)
        self._estimated[key] = None
        if tag in tagged or sum(tagged.values()) >= calls:
            self._tagged.take_estimate(tag if tag in tagged else next(iter(tagged)), key, pico)
        return True

    def would_overflow(self, key: BucketKey, max_buckets: int, also: Optional[Window] = None) -> bool:
        """Whether ``key`` is new, and one more than ``max_buckets``, in this window and ``also`` taken together."""
        if key in self._buckets or (also is not None and key in also):
            return False
        if also is None:
            return len(self._buckets) >= max_buckets
        if len(self._buckets) + also.bucket_count < max_buckets:
            return False
        # What both have was counted twice; finding out takes time, so it is done close to the limit only.
        return len(self.keys() | also.keys()) >= max_buckets

    def merge(self, other: Window) -> None:
        """Add what ``other`` holds, which stays as it is. Its new buckets come after ours."""
        for key, bucket in other._buckets.items():
            self._buckets.setdefault(key, Bucket()).merge(bucket)
        self._tagged.merge(other._tagged)
        self._llm.merge(other._llm)
        self._estimated.update(other._estimated)
        self._without_call += other._without_call
        self.count += other.count
        self.started_at_ns = min(self.started_at_ns, other.started_at_ns)
        self._bound_exact()

    def _bound_exact(self) -> None:
        """Fold what frees three quarters of the budget. Small buckets stay exact: there a rank is worst off."""
        latencies = [
            *(bucket.latencies for bucket in self._buckets.values()),
            *self._tagged.latencies(),
            *self._llm.latencies(),
        ]
        if sum(len(each.samples) for each in latencies) > EXACT_PER_WINDOW:
            small = EXACT_PER_WINDOW // (4 * len(latencies))
            for each in latencies:
                if len(each.samples) > small:
                    each.fold()
        exact = sum(len(each.samples) for each in latencies)
        self._look_at = self.count + EXACT_PER_WINDOW - exact

    def summary(
        self, project_id: str, environment: str, sdk_version: str, *, start_ns: int, end_ns: int
    ) -> WindowSummary:
        """The window as it goes out, from ``start_ns`` to ``end_ns``."""
        entries = [bucket.to_entry(key) for key, bucket in self._buckets.items()]
        return WindowSummary(
            project_id,
            environment,
            "python",
            sdk_version,
            iso_time(start_ns),
            iso_time(end_ns),
            entries,
            tag_metrics=self._tagged.to_entries(),
            llm_metrics=self._llm.to_entries(),
        )

    def to_data(self) -> bytes:
        """Everything this window holds, for ``from_data`` to read back."""
        rows = [bucket.to_row(key) for key, bucket in self._buckets.items()]
        started, tagged, llm = to_int64(self.started_at_ns), self._tagged.to_rows(), self._llm.to_rows()
        return _encode(_Data(rows, started, tagged, llm, self._without_call))

    @classmethod
    def from_data(cls, data: bytes) -> Window:
        """The window that gave ``data``. ``ValueError`` when none did."""
        try:
            decoded = _decode(data)
        except UNDECODABLE as error:
            raise ValueError(f"not the data of a window: {error}") from error
        window = cls(max(MAX_BUCKETS, len(decoded.tagged), len(decoded.llm)))  # it was bounded when it was made
        for row in decoded.rows:
            bucket = window._buckets[row.provider, row.endpoint, row.method] = Bucket.from_row(row)
            window.count += bucket.latencies.count
            if row.estimates:
                window._estimated[row.provider, row.endpoint, row.method] = None
        window._llm.take_rows(decoded.llm)
        window._without_call = decoded.without_call
        window.count += decoded.without_call
        window._tagged.take_rows(decoded.tagged)
        window.started_at_ns = decoded.started_at_ns
        window._bound_exact()
        return window


class Aggregator:
    """Events in, windows out: what the collector does, for programs that do it themselves. Thread-safe.

    Paths stay as they are.  It has no clock: a window goes from the start of its earliest call to the end of its
    latest.  When to ``flush`` is the caller's decision, by time, by ``size`` or by ``would_overflow``; without a
    flush, events of new buckets beyond ``max_buckets`` are counted together under ``OVERFLOW_KEY``, so that
    memory stays bounded and the totals right.
    """

    def __init__(
        self,
        project_id: str = "",
        environment: str = "development",
        sdk_version: str = __version__,
        max_buckets: int = MAX_BUCKETS,
    ) -> None:
        self.project_id = project_id
        self.environment = environment
        self.sdk_version = sdk_version
        self.max_buckets = max_buckets
        self._lock = threading.Lock()
        self._window = Window()
        self._end_ns = 0

    def ingest(self, event: RawEvent, cost_cents: float = 0.0) -> None:
        """Count ``event``, and ``cost_cents`` for it (US cents)."""
        key, call, cost = _key_of(event), _to_call(event), pico_usd(cost_cents)
        with self._lock:
            if self._window.would_overflow(key, self.max_buckets):
                key = OVERFLOW_KEY
            self._window.add(key, call, cost)
            self._end_ns = max(self._end_ns, call.at_ns + call.duration_ns)

    def flush(self) -> Optional[WindowSummary]:
        """Close the window and start a new one. None when it is empty."""
        with self._lock:
            window, end_ns = self._window, self._end_ns
            self._window, self._end_ns = Window(), 0
        if not window.count:
            return None
        start_ns = window.started_at_ns
        return window.summary(self.project_id, self.environment, self.sdk_version, start_ns=start_ns, end_ns=end_ns)

    def would_overflow(self, event: RawEvent) -> bool:
        """Whether ``event`` needs a bucket that the window has no room for: flush first."""
        with self._lock:
            return self._window.would_overflow(_key_of(event), self.max_buckets)

    @property
    def size(self) -> int:
        """Events since the last flush."""
        with self._lock:
            return self._window.count

    @property
    def bucket_count(self) -> int:
        with self._lock:
            return self._window.bucket_count


def _key_of(event: RawEvent) -> BucketKey:
    return event.provider or UNKNOWN_PROVIDER, event.endpoint_category or event.path, event.method


def _to_call(event: RawEvent) -> CallEvent:
    """``event`` in whole units; an ``error`` with a good status (it failed later) has no status of its own."""
    return CallEvent(
        at_ns=_to_ns(event.timestamp),
        duration_ns=_to_ns(event.latency_ms),
        method=event.method,
        scheme="",
        netloc=event.host,
        path=event.path,
        status=0 if event.error else event.status_code,
        request_bytes=max(event.request_bytes, 0),
        response_bytes=max(event.response_bytes, 0),
    )


def _to_ns(milliseconds: float) -> int:
    """0 for what is no time (negative, infinite, not a number)."""
    return round(milliseconds * NS_PER_MS) if 0 <= milliseconds < _NEVER_NS // NS_PER_MS else 0
