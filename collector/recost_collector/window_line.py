"""One line of a local file: a window, or the reason why it is none.

Other programs write the same format, so nothing of a line is trusted; and only what a report needs is decoded.

``metrics`` is the whole truth about calls and cost.  ``llmMetrics`` and ``tagMetrics`` are views of it: to group by
one of these means to add it up instead, never in addition.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Annotated, Literal, Optional

import msgspec

from recost.event import UNDECODABLE
from recost_collector import line_blocks

MAJOR = "1"
"""Of ``protocolVersion``: another one may mean anything, a higher minor only adds fields."""

Reason = Literal["unreadable", "unfinished", "unknownVersion"]
REASONS: dict[Reason, str] = {
    "unreadable": "no window, or a damaged one",
    "unfinished": "the last one has no end: it is being written now, or was cut off",
    "unknownVersion": f"of a protocol version other than {MAJOR}.x; a newer recost may read it",
}
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Entry(msgspec.Struct, rename="camel", gc=False):
    """What a report needs of a metric entry."""

    provider: str
    endpoint: str
    request_count: Count
    error_count: Count
    p50_latency_ms: Amount
    p95_latency_ms: Amount
    total_request_bytes: Count
    total_response_bytes: Count
    estimated_cost_cents: Amount
    method: str = ""
    total_latency_ms: Amount = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.provider, self.endpoint, self.method


class TagEntry(Entry, gc=False, kw_only=True):
    """The same of a tag entry."""

    feature_tag: str


class LlmEntry(msgspec.Struct, rename="camel", gc=False):
    """What a report needs of an entry of ``llmMetrics``."""

    provider: str
    model: str
    feature_tag: str
    request_count: Count
    error_count: Count
    p50_latency_ms: Amount
    p95_latency_ms: Amount
    cost_usd: Amount
    total_latency_ms: Amount = 0.0
    unpriced_count: Count = 0


class Window(msgspec.Struct, rename="camel", gc=False):
    """A line with its views. One with a damaged view is damaged."""

    protocol_version: str
    environment: str
    window_start: Moment
    window_end: Moment
    metrics: list[Entry]
    tag_metrics: list[TagEntry] = []  # msgspec copies it
    llm_metrics: list[LlmEntry] = []


class _PlainWindow(Window, gc=False):
    """A line without its views: where nobody asks for them, they cost nothing and may be damaged."""

    tag_metrics: list[TagEntry] = msgspec.field(name="tagMetrics, not read", default_factory=list)
    llm_metrics: list[LlmEntry] = msgspec.field(name="llmMetrics, not read", default_factory=list)


class _Version(msgspec.Struct, rename="camel"):
    protocol_version: str


class Decoder:
    """Of lines, with their views or without."""

    def __init__(self, *, with_views: bool) -> None:
        decoder: msgspec.json.Decoder[Window] = msgspec.json.Decoder(Window if with_views else _PlainWindow)
        self._one, self._many = decoder.decode, decoder.decode_lines

    def one(self, line: bytes) -> Window:
        """Raises one of ``UNDECODABLE``, also for another major version: ``why_undecodable`` finds out which it was."""
        window = self._one(line)
        if _major(window.protocol_version) != MAJOR:
            raise msgspec.ValidationError("another major version")
        return window

    def many(self, lines: bytes) -> Optional[list[Window]]:
        """A window for each line; None when one of them is none."""
        try:
            windows = self._many(lines)
        except UNDECODABLE:
            return None
        # Values that share a line, or have several, are no lines; nor are empty ones, which the decoder passes over.
        if len(windows) != lines.count(b"\n"):
            return None
        versions = {window.protocol_version for window in windows}
        return windows if all(_major(version) == MAJOR for version in versions) else None


_decode_version = msgspec.json.Decoder(_Version).decode


def why_undecodable(line: bytes) -> Reason:
    with contextlib.suppress(*UNDECODABLE):
        if _major(_decode_version(line).protocol_version) != MAJOR:
            return "unknownVersion"
    # Without a newline it is the last line: somebody writes it at this moment, or was killed when he did.
    return "unreadable" if line.endswith(b"\n") or len(line) == line_blocks.MAX_LINE_BYTES else "unfinished"


def _major(version: str) -> str:
    return version.partition(".")[0]
