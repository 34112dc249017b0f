"""The wire format of a window: the public records, and how they become frames.

Other programs read and write the same: names, order and units here are the contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

FRAME_BYTES = 1_000_000
"""A frame is cut before it would exceed this; one entry alone may."""
WITH_VIEWS = "1.1"
"""The protocol version of a frame that has ``tagMetrics``."""
_TAGGED_OPENING = len(b',"tagMetrics":[]')

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
    """Of a window without views; one that has ``tag_metrics`` says ``1.1`` on the wire."""
    tag_metrics: list[TagEntry] = msgspec.field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As on the wire: without the project, which is in the URL or the file's name."""
        made = {**_head(self), "metrics": [entry.to_dict() for entry in self.metrics]}
        if self.tag_metrics:
            made.update(protocolVersion=WITH_VIEWS, tagMetrics=[entry.to_dict() for entry in self.tag_metrics])
        return made


class _Frame:
    """One frame while it is filled."""

    def __init__(self, head: dict[str, Any], max_entries: int, max_bytes: int) -> None:
        self._head = head
        self._max_entries = max_entries
        self._room = max_bytes - len(_encode({**head, "metrics": []}))
        self._metrics: list[msgspec.Raw] = []
        self._tagged: list[msgspec.Raw] = []

    @property
    def is_empty(self) -> bool:
        return not self._metrics and not self._tagged

    def fits(self, metrics: list[bytes], tagged: list[bytes]) -> bool:
        """Whether these have room. A frame's tagged entries are counted apart from its metrics."""
        if len(self._metrics) + len(metrics) > self._max_entries:
            return False
        if not tagged:
            return _size(metrics) <= self._room
        opening = 0 if self._tagged else _TAGGED_OPENING
        within = len(self._tagged) + len(tagged) <= self._max_entries
        return within and opening + _size(metrics) + _size(tagged) <= self._room

    def add(self, metrics: list[bytes], tagged: list[bytes]) -> None:
        if tagged and not self._tagged:
            self._room -= _TAGGED_OPENING
        self._room -= _size(metrics) + _size(tagged)
        self._metrics += map(msgspec.Raw, metrics)
        self._tagged += map(msgspec.Raw, tagged)

    def encode(self) -> bytes:
        if not self._tagged:
            return _encode({**self._head, "metrics": self._metrics})
        head = {**self._head, "protocolVersion": WITH_VIEWS}
        return _encode({**head, "metrics": self._metrics, "tagMetrics": self._tagged})


def to_frames(summary: WindowSummary, max_entries: int, max_bytes: int = FRAME_BYTES) -> list[bytes]:
    """``summary`` as JSON, in several frames when it has more entries or bytes than one may have.

    Entries keep their order; each frame has the head of the window.  Without entries: one frame that says so.
    Tagged entries go with the metric entry that they are a view of; where all of these are more than a frame has room
    for, the rest follows in frames without metrics.
    """
    head = _head(summary)
    empty = _Frame(head, max_entries, max_bytes)
    frames = [_Frame(head, max_entries, max_bytes)]
    for group in _together(summary):
        for metrics, tagged in [group] if empty.fits(*group) else _apart(*group):
            if not frames[-1].is_empty and not frames[-1].fits(metrics, tagged):
                frames.append(_Frame(head, max_entries, max_bytes))
            frames[-1].add(metrics, tagged)
    return [frame.encode() for frame in frames]


def _together(summary: WindowSummary) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Each metric entry and the tagged ones of the same key; last, those without one. Encoded."""
    tagged: dict[tuple[str, str, str], list[bytes]] = {}
    for entry in summary.tag_metrics:
        tagged.setdefault((entry.provider, entry.endpoint, entry.method), []).append(_encode(entry))
    for metric in summary.metrics:
        yield [_encode(metric)], tagged.pop((metric.provider, metric.endpoint, metric.method), [])
    for rest in tagged.values():
        yield [], rest


def _apart(metrics: list[bytes], tagged: list[bytes]) -> Iterator[tuple[list[bytes], list[bytes]]]:
    yield metrics, []
    for entry in tagged:
        yield [], [entry]


def _size(entries: list[bytes]) -> int:
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
