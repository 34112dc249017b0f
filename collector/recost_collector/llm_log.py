"""The log of single LLM calls, where a program wants one: a line of JSON for each, delivered like a window. Pure.

The lines of an open window are kept with it, so a crash neither loses nor doubles one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from recost.event import NS_PER_MS, PICO_USD_PER_USD, LlmEvent
from recost.llm_rows import UNTAGGED
from recost.wire import iso_time

MAX_BYTES = 900_000
"""Of one window's lines; it is closed before there are more, as before it gets a bucket too many."""

_encode = msgspec.json.Encoder().encode


class LlmLog:
    """The lines of one open window: what is committed of them, and those since."""

    def __init__(self) -> None:
        self._committed: list[bytes] = []
        self._new: list[bytes] = []
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        return self._bytes > MAX_BYTES

    @property
    def lines(self) -> int:
        return len(self._committed) + len(self._new)

    def add(self, event: LlmEvent, environment: str) -> None:
        line = to_line(event, environment)
        self._bytes += len(line)
        self._new.append(line)

    def new(self) -> bytes:
        """What the next commit has to add."""
        return b"\n".join(self._new)

    def merge_new(self) -> None:
        """It is committed."""
        self._committed += self._new
        self._new = []

    def committed(self) -> bytes:
        """All that is."""
        return b"\n".join(self._committed)

    def restore(self, data: bytes) -> None:
        """Take over what a commit has added."""
        self._bytes += len(data)
        self._committed += data.splitlines()


def to_line(event: LlmEvent, environment: str) -> bytes:
    line: dict[str, Any] = {
        "time": iso_time(event.at_ns),
        "environment": environment,
        "provider": event.provider,
        "model": event.model,
        "featureTag": event.tag or UNTAGGED,
        "promptTokens": event.prompt_tokens,
        "completionTokens": event.completion_tokens,
        "cachedTokens": event.cached_tokens,
        "costUsd": event.cost_pico_usd / PICO_USD_PER_USD,
        "priced": event.is_priced,
        "error": event.error,
        "latencyMs": round(event.duration_ns / NS_PER_MS, 3),
    }
    if event.first_token_ns >= 0:
        line["ttftMs"] = round(event.first_token_ns / NS_PER_MS, 3)
    line["ending"] = event.ending or "tracked"
    if event.metadata:
        line["metadata"] = _checked(event.metadata)
    return _encode(line)


def _checked(metadata: str) -> Any:
    """As it came, where that is JSON of one line: another program may have written the ring."""
    try:
        return msgspec.json.decode(metadata)
    except (msgspec.MsgspecError, RecursionError):
        return metadata
