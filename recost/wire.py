"""The wire format of a window: the public records, and how they become frames.

Other programs read and write the same: names, order and units here are the contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Optional

import msgspec

FRAME_BYTES = 1_000_000
"""A frame is cut before it would exceed this; one entry alone may."""
WITH_VIEWS = "1.1"
"""The protocol version of a frame that has ``tagMetrics`` or ``llmMetrics``."""

_NS_PER_MS = 1_000_000
_MS_MAX = 253_402_300_799_999  # the last millisecond that a date can name
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a base for adding to; what comes out is UTC and says so with Z

_encode = msgspec.json.Encoder().encode


class FlushStatus(msgspec.Struct, frozen=True):
    """How the last delivery of this process's events went."""

    status: Literal["ok", "error"]
    window_size: int
    """Metric entries in the window."""
    timestamp: int
    """ms since the epoch."""


class MetricEntry(msgspec.Struct, frozen=True, rename="camel"):
    """What the calls of one (provider, endpoint, method) in a window add up to."""

    provider: str
    endpoint: str
    method: str
    request_count: int
    error_count: int
    total_latency_ms: float
    p50_latency_ms: float
    p95_latency_ms: float
    total_request_bytes: int
    total_response_bytes: int
    estimated_cost_cents: float

    def to_dict(self) -> dict[str, Any]:
        """As on the wire."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made


class TagEntry(MetricEntry, frozen=True):
    """What those of them add up to that were made under one tag. A view of ``MetricEntry``, never to be added to it."""

    feature_tag: str


class LlmEntry(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the LLM calls of one (provider, model, tag) add up to. A view: its cost is in ``MetricEntry``, too."""

    provider: str
    model: str
    feature_tag: str
    request_count: int
    error_count: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Of ``prompt_tokens``."""
    cost_usd: float
    unpriced_count: int
    """Calls whose cost is not known, and is 0 here."""
    total_latency_ms: float
    p50_latency_ms: float
    p95_latency_ms: float
    p50_ttft_ms: Optional[float] = None
    """Time to the first token, of the streams."""
    p95_ttft_ms: Optional[float] = None

    def to_dict(self) -> dict[str, Any]:
        """As on the wire."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made


class WindowSummary(msgspec.Struct, frozen=True):
    """A closed window. Times as on the wire: UTC, milliseconds, ``Z``."""

    project_id: str
    environment: str
    sdk_language: str
    sdk_version: str
    window_start: str
    window_end: str
    metrics: list[MetricEntry] = msgspec.field(default_factory=list)
    protocol_version: str = "1.0"
    """Of a window without views; one that has any says ``1.1`` on the wire."""
    tag_metrics: list[TagEntry] = msgspec.field(default_factory=list)
    llm_metrics: list[LlmEntry] = msgspec.field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As on the wire: without the project, which is in the URL or the file's name."""
        made = {**_head(self), "metrics": [entry.to_dict() for entry in self.metrics]}
        if self.tag_metrics:
            made.update(protocolVersion=WITH_VIEWS, tagMetrics=[entry.to_dict() for entry in self.tag_metrics])
        if self.llm_metrics:
            made.update(protocolVersion=WITH_VIEWS, llmMetrics=[entry.to_dict() for entry in self.llm_metrics])
        return made


class Group(NamedTuple):
    """Encoded entries that go into one frame, where one has room for all of them."""

    metrics: Sequence[bytes] = ()
    tagged: Sequence[bytes] = ()
    llm: Sequence[bytes] = ()


class _Frame:
    """One frame while it is filled."""

    def __init__(self, head: dict[str, Any], max_entries: int, max_bytes: int) -> None:
        self._head = head
        self._max_entries = max_entries
        self._room = max_bytes - len(_encode({**head, "metrics": []}))
        self._lists: dict[str, list[msgspec.Raw]] = {"metrics": []}

    @property
    def is_empty(self) -> bool:
        return not any(self._lists.values())

    def fits(self, group: Group) -> bool:
        """Whether it has room. The entries of each list of a frame are counted apart."""
        return self._size_of(group) <= self._room and all(
            len(self._lists.get(name, ())) + len(entries) <= self._max_entries
            for name, entries in zip(_LISTS, group)
            if entries
        )

    def add(self, group: Group) -> None:
        self._room -= self._size_of(group)
        for name, entries in zip(_LISTS, group):
            if entries:
                self._lists.setdefault(name, []).extend(map(msgspec.Raw, entries))

    def encode(self) -> bytes:
        head = self._head if len(self._lists) == 1 else {**self._head, "protocolVersion": WITH_VIEWS}
        return _encode({**head, **{name: self._lists[name] for name in _LISTS if name in self._lists}})

    def _size_of(self, group: Group) -> int:
        openings = (len(f',"{name}":[]') for name, made in zip(_LISTS, group) if made and name not in self._lists)
        return sum(openings) + sum(map(_size, group))


_LISTS = ("metrics", "tagMetrics", "llmMetrics")
"""Of a frame, as ``Group`` has them."""


def to_frames(summary: WindowSummary, max_entries: int, max_bytes: int = FRAME_BYTES) -> list[bytes]:
    """``summary`` as JSON, in several frames when it has more entries or bytes than one may have.

    Entries keep their order; each frame has the head of the window.  Without entries: one frame that says so.
    Tagged entries go with the metric entry that they are a view of; where all of these are more than a frame has room
    for, the rest follows in frames without metrics.  Entries of LLM calls are of no single metric: they come last.
    """
    head = _head(summary)
    empty = _Frame(head, max_entries, max_bytes)
    frames = [_Frame(head, max_entries, max_bytes)]
    for whole in _together(summary):
        for group in [whole] if empty.fits(whole) else _apart(whole):
            if not frames[-1].is_empty and not frames[-1].fits(group):
                frames.append(_Frame(head, max_entries, max_bytes))
            frames[-1].add(group)
    return [frame.encode() for frame in frames]


def _together(summary: WindowSummary) -> Iterator[Group]:
    """Each metric entry and the tagged ones of the same key; then those without one, then those of LLM calls."""
    tagged: dict[tuple[str, str, str], list[bytes]] = {}
    for entry in summary.tag_metrics:
        tagged.setdefault((entry.provider, entry.endpoint, entry.method), []).append(_encode(entry))
    for metric in summary.metrics:
        yield Group([_encode(metric)], tagged.pop((metric.provider, metric.endpoint, metric.method), []))
    for rest in tagged.values():
        yield Group(tagged=rest)
    for llm in summary.llm_metrics:
        yield Group(llm=[_encode(llm)])


def _apart(group: Group) -> Iterator[Group]:
    if group.metrics:
        yield Group(group.metrics)
    for entry in group.tagged:
        yield Group(tagged=[entry])
    for entry in group.llm:
        yield Group(llm=[entry])


def _size(entries: Sequence[bytes]) -> int:
    return sum(map(len, entries)) + len(entries)  # and the commas


def _head(summary: WindowSummary) -> dict[str, Any]:
    return {
        "protocolVersion": summary.protocol_version,
        "environment": summary.environment,
        "sdkLanguage": summary.sdk_language,
        "sdkVersion": summary.sdk_version,
        "windowStart": summary.window_start,
        "windowEnd": summary.window_end,
    }


def iso_time(at_ns: int) -> str:
    """``2026-11-21T10:00:00.000Z``. A time that no date can name counts as the nearest one that can."""
    milliseconds = min(max(at_ns // _NS_PER_MS, 0), _MS_MAX)
    return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds") + "Z"
