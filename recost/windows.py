"""Windows: events counted per (provider, endpoint, method).

Pure: no I/O and no clock; every time is an argument or comes with an event.  Sums are whole numbers (ns, bytes,
pico-dollars) until they leave, so they do not depend on the order in which parts are added or merged.

The collector keeps two ``Window`` for each open window: what is committed, and the delta since the last commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import ItemsView, Iterator, KeysView
from typing import NamedTuple, Optional

import msgspec

from recost.bucket import Bucket, Row, to_int64
from recost.calls import BucketKey, Calls
from recost.event import UNDECODABLE, CallEvent, LlmEvent
from recost.llm_rows import LlmCalls, LlmRow, LlmSum
from recost.tagged import Tagged, TaggedRow
from recost.wire import WindowSummary, iso_time

MAX_BUCKETS = 2000
"""Default of ``max_buckets``: distinct (provider, endpoint, method) in one window."""
EXACT_PER_WINDOW = 100_000
"""Latencies of one window that are kept as they are; beyond it the busiest buckets go over to histograms."""
NEVER_NS = (1 << 63) - 1
"""When a window without events began."""


class _Data(msgspec.Struct, array_like=True):
    """A window as plain data. Fields are only ever appended."""

    rows: list[Row]
    started_at_ns: int
    tagged: list[TaggedRow] = []  # msgspec copies it
    llm: list[LlmRow] = []
    without_call: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Data).decode


class LlmRows(NamedTuple):
    """Where a window counts LLM calls that are alike."""

    bucket: Bucket
    by_model: LlmSum
    tagged: Optional[Bucket]


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
        self.started_at_ns = NEVER_NS

    def __contains__(self, key: object) -> bool:
        return key in self._buckets

    @property
    def bucket_count(self) -> int:
        return len(self._buckets)

    def keys(self) -> KeysView[BucketKey]:
        return self._buckets.keys()

    def buckets(self) -> ItemsView[BucketKey, Bucket]:
        """The whole truth."""
        return self._buckets.items()

    def by_tag(self) -> Iterator[tuple[str, Bucket]]:
        """A view of them."""
        return self._tagged.by_tag()

    def by_model(self) -> Iterator[tuple[tuple[str, str], LlmSum]]:
        """Another one."""
        return self._llm.by_model()

    def add(self, key: BucketKey, event: CallEvent, cost_pico_usd: int = 0) -> None:
        """Count ``event`` in the bucket ``key``. How many buckets there may be is the caller's to watch."""
        self._bucket_of(key).add(event, cost_pico_usd)
        if cost_pico_usd:
            self._estimated[key] = None
        if event.tag:
            self._tagged.add(key, event, cost_pico_usd)
            self._look_at -= 1  # for the latency that is kept twice
        self._began(event.at_ns, 1)

    def open(self, key: BucketKey, tag: str, cost_pico_usd: int) -> None:
        """The first call of this kind is to come, with others by ``take``: its rows come before those of later ones."""
        self._bucket_of(key)
        if tag:
            self._tagged.open(tag, key)
        if cost_pico_usd:
            self._estimated[key] = None

    def take(self, calls: Calls) -> None:
        """Count all of ``calls``, for whose kind this is ``open``."""
        self._buckets[calls.key].take(calls)
        if calls.tag:
            self._tagged.take(calls)
            self._look_at -= calls.count
        self._began(calls.started_at_ns, calls.count)

    def open_llm(self, key: BucketKey, event: LlmEvent) -> LlmRows:
        """The first call like ``event`` is to come: the rows that these are counted in, for as long as this lives."""
        tagged = self._tagged.open(event.tag, key) if event.tag else None
        return LlmRows(self._bucket_of(key), self._llm.open(event), tagged)

    def add_llm(self, rows: LlmRows, event: LlmEvent, cost_pico_usd: int) -> None:
        """Count an LLM call under its model, and its cost in its bucket; the call, too, if nothing else did."""
        bucket, by_model, tagged = rows
        bucket.add_llm(event, cost_pico_usd)
        by_model.add(event)
        self._look_at -= 2
        if tagged is not None:
            tagged.add_llm(event, cost_pico_usd)
            self._look_at -= 1
        if event.netloc:
            self._without_call += 1
        self._began(event.at_ns, 1)

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
        self._bucket_of(key).add_estimate(-1, -pico)
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
            self._bucket_of(key).merge(bucket)
        self._tagged.merge(other._tagged)
        self._llm.merge(other._llm)
        self._estimated.update(other._estimated)
        self._without_call += other._without_call
        self.count += other.count
        self.started_at_ns = min(self.started_at_ns, other.started_at_ns)
        self._bound_exact()

    def _bucket_of(self, key: BucketKey) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket()
        return bucket

    def _began(self, at_ns: int, events: int) -> None:
        """So many more events, the earliest of which began at ``at_ns``."""
        if at_ns < self.started_at_ns:  # noqa: PLR1730 - min() is a call, and most do not begin earlier
            self.started_at_ns = at_ns
        self.count += events
        if self.count > self._look_at:
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
