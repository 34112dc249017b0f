"""One line of a local file: a window, or the reason why it is none.

Other programs write the same format, so nothing of a line is trusted; and only what a report needs is decoded.

``metrics`` is the whole truth about calls and cost.  ``llmMetrics`` and ``tagMetrics`` are views of it: to group by
one of these means to add it up instead, never in addition.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from recost.event import UNDECODABLE

MAJOR = "1"
"""Of ``protocolVersion``: another one may mean anything, a higher minor only adds fields."""
MAX_LINE_BYTES = 16 << 20
"""A frame has 1 MB at most. A longer line is nobody's window; it is read in pieces, and each counts as unreadable."""

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


class Window(msgspec.Struct, rename="camel", gc=False):
    """The head of a line. Its entries stay undecoded: most lines of a long history may be too old to count."""

    protocol_version: str
    environment: str
    window_start: Moment
    window_end: Moment
    metrics: msgspec.Raw
    tag_metrics: msgspec.Raw = msgspec.Raw(b"[]")
    llm_metrics: msgspec.Raw = msgspec.Raw(b"[]")


class _Version(msgspec.Struct, rename="camel"):
    protocol_version: str


_decode_window = msgspec.json.Decoder(Window).decode
_decode_entries = msgspec.json.Decoder(list[Entry]).decode
_decode_tag_entries = msgspec.json.Decoder(list[TagEntry]).decode
_decode_llm_entries = msgspec.json.Decoder(list[LlmEntry]).decode
_decode_version = msgspec.json.Decoder(_Version).decode


def decode_head(line: bytes) -> Window:
    """Raises one of ``UNDECODABLE``, also for another major version: ``why_undecodable`` finds out which it was."""
    window = _decode_window(line)
    if _major(window.protocol_version) != MAJOR:
        raise msgspec.ValidationError("another major version")
    return window


def decode_entries(window: Window) -> list[Entry]:
    """Raises one of ``UNDECODABLE``."""
    return _decode_entries(window.metrics)


def decode_tag_entries(window: Window) -> list[TagEntry]:
    """Raises one of ``UNDECODABLE``. Empty for a window without tagged calls."""
    return _decode_tag_entries(window.tag_metrics)


def decode_llm_entries(window: Window) -> list[LlmEntry]:
    """Raises one of ``UNDECODABLE``. Empty for a window without LLM calls."""
    return _decode_llm_entries(window.llm_metrics)


def why_undecodable(line: bytes) -> Reason:
    with contextlib.suppress(*UNDECODABLE):
        if _major(_decode_version(line).protocol_version) != MAJOR:
            return "unknownVersion"
    # Without a newline it is the last line: somebody writes it at this moment, or was killed when he did.
    return "unreadable" if line.endswith(b"\n") or len(line) == MAX_LINE_BYTES else "unfinished"


def _major(version: str) -> str:
    return version.partition(".")[0]
