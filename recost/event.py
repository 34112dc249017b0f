"""The records that cross the ring: what a worker says of one finished call.

Arrays, not maps: a field's place is its name, so fields are only ever appended and an older reader ignores
what it does not know.  No header, body, query, fragment or user-info has a field here, so none can cross.
"""

from __future__ import annotations

from typing import Callable, Literal, NamedTuple, Optional, Union

import msgspec

NS_PER_MS = 1_000_000
PICO_USD_PER_USD = 1_000_000_000_000

Ending = Literal["completed", "broken_off", "closed_unread", "dropped", "failed", "cancelled"]
"""How an LLM call ended: its answer came, the user left a stream amid it, closed it unread or forgot it, it failed, or
was cancelled."""


class CallEvent(msgspec.Struct, array_like=True, gc=False, tag=0, tag_field="t"):
    """One finished outbound HTTP call, as the wrapper saw it."""

    at_ns: int
    """Wall clock when the call began, ns since the epoch."""
    duration_ns: int
    method: str
    """Upper case."""
    scheme: str
    netloc: str
    """``host`` or ``host:port``, lower case, without user-info; the port only where the URL names one."""
    path: str
    """As sent, without query and fragment; at most ``MAX_PATH`` characters."""
    status: int
    """0: no response came (refused, timed out, cancelled)."""
    request_bytes: int
    response_bytes: int
    tag: str = ""
    """The feature, route or task that made it, at most ``MAX_TAG`` characters; empty: none is known."""
    is_llm: bool = False
    """Made inside a call of a patched SDK, whose ``LlmEvent`` says what it cost: it gets no estimate."""

    @property
    def error(self) -> bool:
        return self.status == 0 or self.status >= 400


class LlmEvent(msgspec.Struct, array_like=True, gc=False, tag=1, tag_field="t"):
    """One finished LLM call, with what it used and cost. Money in pico-dollars."""

    at_ns: int
    """Wall clock when the call began, ns since the epoch."""
    duration_ns: int
    provider: str
    """Its one name, see ``recost.llm.aliases``; at most ``MAX_NAME`` characters, like ``model``."""
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Of ``prompt_tokens``."""
    cost_pico_usd: int
    is_priced: bool = True
    """False: what it cost is not known, and ``cost_pico_usd`` is 0."""
    error: bool = False
    tag: str = ""
    """The feature, route or task that made it; empty: none is known."""
    first_token_ns: int = -1
    """Of a stream: from the call's begin to its first piece; -1 where there was none."""
    method: str = ""
    netloc: str = ""
    """With ``method`` and ``path``: the captured HTTP call that carried it. Empty: none was captured."""
    path: str = ""
    by_hand: bool = False
    """Told by the program itself: the HTTP call, if one was captured, is not known to be this one's."""
    ending: str = ""
    """An ``Ending``; empty for a call that was told by hand."""
    metadata: str = ""
    """For the log of LLM calls, where that is wanted: a JSON object of at most ``MAX_METADATA`` bytes."""


Event = Union[CallEvent, LlmEvent]

MAX_PATH = 1024
MAX_NAME = 200
MAX_TAG = 100
MAX_METADATA = 1024
MAX_BYTES = 8192
"""A larger record is none of ours: paths and tags are cut, and hosts and methods are short."""

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that somebody else wrote; the last for thousands of arrays in each other."""

encode = msgspec.msgpack.Encoder().encode
decode: Callable[[bytes], Event] = msgspec.msgpack.Decoder(Event).decode


class RawEvent(NamedTuple):
    """One captured call as ``install(callback)`` hands it out and ``Aggregator.ingest`` takes it."""

    timestamp: float
    """Start of the call, ms since the epoch."""
    method: str
    url: str
    """Without query, fragment and user-info."""
    host: str
    """Without port."""
    path: str
    status_code: int
    """0 when no response came."""
    latency_ms: float
    request_bytes: int
    response_bytes: int
    provider: Optional[str] = None
    endpoint_category: Optional[str] = None
    error: bool = False


def host_of(netloc: str) -> str:
    """The host of ``netloc``: no port, no brackets of an IPv6 address, no trailing dot."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0]
    return netloc.partition(":")[0].rstrip(".")


def to_raw(event: CallEvent) -> RawEvent:
    """The public form of ``event``, without provider: the worker does not know it."""
    return RawEvent(
        timestamp=event.at_ns / NS_PER_MS,
        method=event.method,
        url=f"{event.scheme}://{event.netloc}{event.path}",
        host=host_of(event.netloc),
        path=event.path,
        status_code=event.status,
        latency_ms=event.duration_ns / NS_PER_MS,
        request_bytes=event.request_bytes,
        response_bytes=event.response_bytes,
        error=event.error,
    )
