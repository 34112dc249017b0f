"""The tagged calls of a window, counted per (tag, provider, endpoint, method). Pure.

A view of the window's buckets: every call in here is in one of those, too.  Bounded in tags and in rows; what does not
fit is counted under the tag ``other``, of which there is at most one row for each of the window's buckets.  Merging
keeps the bounds, so what is merged in the same order gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from recost.bucket import Bucket, Row
from recost.calls import BucketKey, Calls
from recost.event import MAX_TAG, CallEvent
from recost.latency import Latencies
from recost.wire import TagEntry

MAX_TAGS = 200
"""Of one window, without ``other``."""
OTHER_TAG = "other"

TaggedRow = tuple[str, Row]


class Tagged:
    """Buckets in order of first appearance. One thread at a time."""

    __slots__ = ("_buckets", "_max_rows", "_named_rows", "_tags")

    def __init__(self, max_rows: int) -> None:
        """``max_rows``: so many rows of other tags than ``other``."""
        self._buckets: dict[tuple[str, BucketKey], Bucket] = {}
        self._max_rows = max_rows
        self._named_rows = 0
        self._tags: set[str] = set()

    def __len__(self) -> int:
        return len(self._buckets)

    def add(self, key: BucketKey, event: CallEvent, cost_pico_usd: int) -> None:
        self._bucket_of(event.tag[:MAX_TAG], key).add(event, cost_pico_usd)

    def open(self, tag: str, key: BucketKey) -> Bucket:
        """The first call of ``tag`` to ``key`` is to come: its row comes before those of later ones."""
        return self._bucket_of(tag[:MAX_TAG], key)

    def take(self, calls: Calls) -> None:
        self._bucket_of(calls.tag[:MAX_TAG], calls.key).take(calls)

    def estimates(self, key: BucketKey) -> dict[str, int]:
        """How many calls of ``key`` are counted at an estimate, by tag."""
        return {tag: bucket.estimates for (tag, of), bucket in self._buckets.items() if of == key and bucket.estimates}

    def take_estimate(self, tag: str, key: BucketKey, pico_usd: int) -> None:
        self._bucket_of(tag, key).add_estimate(-1, -pico_usd)

    def merge(self, other: Tagged) -> None:
        """Add what ``other`` holds, which stays as it is."""
        for (tag, key), bucket in other._buckets.items():
            self._bucket_of(tag, key).merge(bucket)

    def by_tag(self) -> Iterator[tuple[str, Bucket]]:
        """As often as the tag has endpoints."""
        return ((tag, bucket) for (tag, _), bucket in self._buckets.items())

    def latencies(self) -> Iterator[Latencies]:
        return (bucket.latencies for bucket in self._buckets.values())

    def to_entries(self) -> list[TagEntry]:
        return [bucket.to_tag_entry(tag, key) for (tag, key), bucket in self._buckets.items()]

    def to_rows(self) -> list[TaggedRow]:
        return [(tag, bucket.to_row(key)) for (tag, key), bucket in self._buckets.items()]

    def take_rows(self, rows: Iterable[TaggedRow]) -> None:
        """Add what ``to_rows`` gave."""
        for tag, row in rows:
            self._bucket_of(tag, (row.provider, row.endpoint, row.method)).merge(Bucket.from_row(row))

    def _bucket_of(self, tag: str, key: BucketKey) -> Bucket:
        found = self._buckets.get((tag, key))
        if found is not None:
            return found
        if tag != OTHER_TAG:
            if not self._has_room(tag):
                return self._bucket_of(OTHER_TAG, key)
            self._tags.add(tag)
            self._named_rows += 1
        made = self._buckets[tag, key] = Bucket()
        return made

    def _has_room(self, tag: str) -> bool:
        """For one more row of ``tag``."""
        return self._named_rows < self._max_rows and (tag in self._tags or len(self._tags) < MAX_TAGS)
