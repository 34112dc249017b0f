"""``track()``: one LLM call, as the program itself tells it.

State: ``counts``.  Added up without a lock: of two threads at the same instant one may get lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Optional

import msgspec

from recost import _runtime, handle
from recost._capture.wrap import contained
from recost.event import MAX_METADATA, MAX_NAME, NS_PER_MS, LlmEvent
from recost.llm.aliases import canonical
from recost.llm.call_tags import DEFAULT_TAG, named
from recost.llm.prices import price_list
from recost.llm.tokens import Odd, Usage, count, pico

UNKNOWN = "unknown"
MAX_LATENCY_MS = 86_400_000.0
"""A day. More is garbage."""

logger = logging.getLogger("recost")

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Counts(msgspec.Struct, gc=False):
    """Since the process began."""

    dropped: int = 0
    """Tracked before ``init()``."""
    odd: int = 0
    """Values that had to be corrected."""
    faults: int = 0


counts = Counts()


def track(  # noqa: PLR0913, PLR0917 - another SDK's signature, which programs already call
    provider: str,
    model: str,
    prompt_tokens: int,
    completion_tokens: int,
    cost: Optional[float],
    latency_ms: float,
    feature_tag: str = DEFAULT_TAG,
    metadata: Optional[dict[str, Any]] = None,
) -> None:
    """Count one LLM call that has just ended. ``cost`` in US dollars; None: by the price table.

    Takes microseconds, never blocks and never raises: odd numbers are corrected and counted.  ``feature_tag`` beats
    ``with recost.feature_tag(…)`` around it, unless it is ``"default"``.  ``metadata`` goes into the log of LLM calls,
    at most 1 KiB of it; without ``llm_event_log`` it is not looked at.  Before ``init()`` the call is dropped and
    counted, and the first time that is a warning on the logger ``recost``.  The captured HTTP call under it, if there
    is one, keeps no estimate.  Do not track what a patched SDK tells by itself.
    """
    try:
        event = _to_event(provider, model, (prompt_tokens, completion_tokens), cost, latency_ms)
        given: object = feature_tag
        event.tag = named(given) if isinstance(given, str) else ""
        runtime = _runtime.current
        if metadata is not None and runtime is not None and runtime.settings.llm_event_log:
            event.metadata = contained(_to_json, metadata) or ""
        if not _runtime.record_llm(event):
            _drop()
    except Exception:
        counts.faults += 1
        if counts.faults == 1:
            logger.warning("a tracked call could not be taken and is lost, more may follow", exc_info=True)


def _to_event(provider: object, model: object, tokens: tuple[Any, Any], cost: Any, latency_ms: Any) -> LlmEvent:
    odd: Odd = []
    seller, name = canonical(_name(provider, odd)), _name(model, odd)
    used = Usage(count(tokens[0], odd), count(tokens[1], odd))
    duration_ns = _duration_ns(latency_ms, odd)
    cost_pico, is_priced = None if cost is None else pico(cost, odd), True
    if cost_pico is None:
        found = price_list().cost(seller, name, used)
        cost_pico, is_priced = found.pico, found.is_priced
    counts.odd += len(odd)
    return LlmEvent(
        at_ns=time.time_ns() - duration_ns,
        duration_ns=duration_ns,
        provider=seller,
        model=name,
        prompt_tokens=used.input,
        completion_tokens=used.output,
        cached_tokens=0,
        cost_pico_usd=cost_pico,
        is_priced=is_priced,
        by_hand=True,
    )


def _name(given: object, odd: Odd) -> str:
    if not isinstance(given, str) or not given.strip():
        odd.append(given)
        return UNKNOWN
    if len(given) > MAX_NAME:
        odd.append(given)
    return given.strip()[:MAX_NAME].encode("utf-8", "replace").decode()


def _duration_ns(latency_ms: Any, odd: Odd) -> int:
    try:
        if not isinstance(latency_ms, bool) and 0 <= latency_ms <= MAX_LATENCY_MS:
            return int(float(latency_ms) * NS_PER_MS)
    except (TypeError, ValueError, OverflowError):  # no number at all
        pass
    odd.append(latency_ms)
    return int(MAX_LATENCY_MS * NS_PER_MS) if isinstance(latency_ms, float) and latency_ms > MAX_LATENCY_MS else 0


def _to_json(metadata: object) -> str:
    """A JSON object of the entries that there is room for. What JSON does not know goes in as its ``str``.

    Metadata that are no mapping, and entries that cannot be told (text that is no Unicode, a dict in itself), are odd.
    """
    if not isinstance(metadata, Mapping):
        counts.odd += 1
        return ""
    parts, room = [], MAX_METADATA - 2
    for key, value in metadata.items():
        try:
            part = _encode({str(key): value})[1:-1]
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
            counts.odd += 1
            continue
        if len(part) < room:
            parts.append(part.decode())
            room -= len(part) + 1  # and its comma
    return f"{{{','.join(parts)}}}" if parts else ""


def _drop() -> None:
    counts.dropped += 1
    if counts.dropped == 1 and not handle.was_called():
        logger.warning("track() was called before init(): the call is not counted, and neither are others before it")
