"""The wire format of a window: the public records, and how they become frames.

Other programs read and write the same: names, order and units here are the contract.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

FRAME_BYTES = 1_000_000
"""A frame is cut before it would exceed this; one entry alone may."""

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

    def to_dict(self) -> dict[str, Any]:
        """As on the wire: without the project, which is in the URL or the file's name."""
        return {**_head(self), "metrics": [entry.to_dict() for entry in self.metrics]}


def to_frames(summary: WindowSummary, max_entries: int, max_bytes: int = FRAME_BYTES) -> list[bytes]:
    """``summary`` as JSON, in several frames when it has more entries or bytes than one may have.

    Entries keep their order; each frame has the head of the window.  Without entries: one frame that says so.
    """
    head = _head(summary)
    room = max_bytes - len(_encode({**head, "metrics": []}))
    frames: list[list[msgspec.Raw]] = [[]]
    used = 0
    for entry in summary.metrics:
        encoded = _encode(entry)
        size = len(encoded) + 1  # and a comma
        if frames[-1] and (len(frames[-1]) >= max_entries or used + size > room):
            frames.append([])
            used = 0
        frames[-1].append(msgspec.Raw(encoded))
        used += size
    return [_encode({**head, "metrics": entries}) for entries in frames]


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
