"""The LLM calls of a window, counted per (provider, model, tag). Pure.

A view of the buckets: their cost is in those, too.  Bounded in tags and rows like the view by tag; what does not
fit is counted under the model and the tag ``other``, a row per provider, and where these are too many under the
provider ``other``.  Merging keeps the bounds, so what is merged in the same order gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from recost.bucket import to_int64
from recost.event import MAX_TAG, NS_PER_MS, PICO_USD_PER_USD, LlmEvent
from recost.latency import INDEX_MAX, Latencies
from recost.tagged import MAX_TAGS, OTHER_TAG
from recost.wire import LlmEntry

UNTAGGED = "default"
"""The tag of calls that have none."""
OTHER = "other"
MAX_PROVIDERS = 200
"""With a row for what did not fit; the rest is ``other``."""

LlmKey = tuple[str, str, str]
"""(provider, model, tag)"""

_Histogram = dict[Annotated[int, msgspec.Meta(ge=0, le=INDEX_MAX)], int]
_Samples = tuple[bytes, _Histogram, int]


class LlmRow(msgspec.Struct, array_like=True):
    """A row as plain data. Fields are only ever appended."""

    provider: str
    model: str
    tag: str
    errors: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_pico_usd: int
    unpriced: int
    latencies: _Samples
    first_tokens: _Samples


class LlmSum:
    """What the calls of one key add up to."""

    __slots__ = (
        "cached_tokens", "completion_tokens", "cost_pico_usd", "errors", "first_tokens", "latencies", "prompt_tokens",
        "unpriced",
    )  # fmt: skip

    def __init__(self) -> None:
        self.errors = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.cached_tokens = 0
        self.cost_pico_usd = 0
        self.unpriced = 0
        self.latencies = Latencies()  # it also counts the calls
        self.first_tokens = Latencies()

    def add(self, event: LlmEvent) -> None:
        self.errors += event.error
        self.prompt_tokens += event.prompt_tokens
        self.completion_tokens += event.completion_tokens
        self.cached_tokens += event.cached_tokens
        self.cost_pico_usd += event.cost_pico_usd
        self.unpriced += not event.is_priced
        self.latencies.add(event.duration_ns)
        if event.first_token_ns >= 0:
            self.first_tokens.add(event.first_token_ns)

    def merge(self, other: LlmSum) -> None:
        self.errors += other.errors
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cached_tokens += other.cached_tokens
        self.cost_pico_usd += other.cost_pico_usd
        self.unpriced += other.unpriced
        self.latencies.merge(other.latencies)
        self.first_tokens.merge(other.first_tokens)

    def to_entry(self, key: LlmKey) -> LlmEntry:
        provider, model, tag = key
        p50, p95 = self.latencies.percentiles_ms(50, 95)
        entry = LlmEntry(
            provider=provider,
            model=model,
            feature_tag=tag or UNTAGGED,
            request_count=self.latencies.count,
            error_count=self.errors,
            prompt_tokens=to_int64(self.prompt_tokens),
            completion_tokens=to_int64(self.completion_tokens),
            cached_tokens=to_int64(self.cached_tokens),
            cost_usd=self.cost_pico_usd / PICO_USD_PER_USD,
            unpriced_count=self.unpriced,
            total_latency_ms=round(self.latencies.total_ns / NS_PER_MS, 3),
            p50_latency_ms=round(p50, 3),
            p95_latency_ms=round(p95, 3),
        )
        if self.first_tokens.count:
            p50, p95 = self.first_tokens.percentiles_ms(50, 95)
            entry = msgspec.structs.replace(entry, p50_ttft_ms=round(p50, 3), p95_ttft_ms=round(p95, 3))
        return entry

    def to_row(self, key: LlmKey) -> LlmRow:
        return LlmRow(
            *key,
            errors=self.errors,
            prompt_tokens=to_int64(self.prompt_tokens),
            completion_tokens=to_int64(self.completion_tokens),
            cached_tokens=to_int64(self.cached_tokens),
            cost_pico_usd=to_int64(self.cost_pico_usd),
            unpriced=self.unpriced,
            latencies=_to_samples(self.latencies),
            first_tokens=_to_samples(self.first_tokens),
        )

    @classmethod
    def from_row(cls, row: LlmRow) -> LlmSum:
        made = cls()
        made.errors, made.unpriced, made.cost_pico_usd = row.errors, row.unpriced, row.cost_pico_usd
        made.prompt_tokens, made.completion_tokens = row.prompt_tokens, row.completion_tokens
        made.cached_tokens = row.cached_tokens
        made.latencies = Latencies.from_data(*row.latencies)
        made.first_tokens = Latencies.from_data(*row.first_tokens)
        return made


class LlmCalls:
    """Rows in order of first appearance. One thread at a time."""

    __slots__ = ("_max_rows", "_named_rows", "_others", "_rows", "_tags")

    def __init__(self, max_rows: int) -> None:
        """``max_rows``: so many rows that are of one model and one tag."""
        self._rows: dict[LlmKey, LlmSum] = {}
        self._max_rows = max_rows
        self._named_rows = 0
        self._tags: set[str] = set()
        self._others = 0

    def __len__(self) -> int:
        return len(self._rows)

    def open(self, event: LlmEvent) -> LlmSum:
        """What ``event`` and those of the same provider, model and tag are to be added to."""
        return self._sum_of((event.provider, event.model, event.tag[:MAX_TAG]))

    def merge(self, other: LlmCalls) -> None:
        """Add what ``other`` holds, which stays as it is."""
        for key, found in other._rows.items():
            self._sum_of(key).merge(found)

    def by_model(self) -> Iterator[tuple[tuple[str, str], LlmSum]]:
        """Under (provider, model), as often as there are tags."""
        return (((provider, model), found) for (provider, model, _), found in self._rows.items())

    def latencies(self) -> Iterator[Latencies]:
        for found in self._rows.values():
            yield found.latencies
            yield found.first_tokens

    def to_entries(self) -> list[LlmEntry]:
        return [found.to_entry(key) for key, found in self._rows.items()]

    def to_rows(self) -> list[LlmRow]:
        return [found.to_row(key) for key, found in self._rows.items()]

    def take_rows(self, rows: Iterable[LlmRow]) -> None:
        """Add what ``to_rows`` gave."""
        for row in rows:
            self._sum_of((row.provider, row.model, row.tag)).merge(LlmSum.from_row(row))

    def _sum_of(self, key: LlmKey) -> LlmSum:
        found = self._rows.get(key)
        if found is not None:
            return found
        provider, model, tag = key
        if model == OTHER and tag == OTHER_TAG:
            if self._others >= MAX_PROVIDERS and provider != OTHER:
                return self._sum_of((OTHER, OTHER, OTHER_TAG))
            self._others += 1
        elif self._has_room(tag):
            self._tags.add(tag)
            self._named_rows += 1
        else:
            return self._sum_of((provider, OTHER, OTHER_TAG))
        made = self._rows[key] = LlmSum()
        return made

    def _has_room(self, tag: str) -> bool:
        """For one more row of ``tag``."""
        return self._named_rows < self._max_rows and (not tag or tag in self._tags or len(self._tags) < MAX_TAGS)


def _to_samples(latencies: Latencies) -> _Samples:
    exact, counts, folded_ns = latencies.to_data()
    return exact, counts, to_int64(folded_ns)
