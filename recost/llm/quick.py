"""The short way to a price: for a plain dict in OpenAI's shape, with nothing in it that is priced apart. Pure.

``usage.normalise`` and ``rates.cost_pico`` come to the same, for every usage there is, in three times the time.
"""

from __future__ import annotations

from typing import Any, Optional

from recost.llm.rates import Steps
from recost.llm.tokens import MAX_TOKENS

Quick = tuple[int, int, int, int, int]
"""Pico-dollars per input token, per output token, per request and, on top, per cached token; and up to how many input
tokens that holds."""


def quick_of(steps: Steps) -> Quick:
    """Of the first step, which is all that most requests need."""
    rates = steps[0]
    most = min(MAX_TOKENS, steps[1].over) if len(steps) > 1 else MAX_TOKENS
    return rates.input, rates.output, rates.request, rates.cached - rates.input, most


def quick_pico(quick: Quick, usage: dict[str, Any]) -> Optional[int]:
    """What ``usage`` costs, in pico-dollars. None: it is not that simple."""
    tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(tokens_in) is not int or type(tokens_out) is not int:
        return None
    per_input, per_output, per_request, on_cached, most = quick
    if not (0 <= tokens_in <= most and 0 <= tokens_out <= MAX_TOKENS):
        return None
    cost = tokens_in * per_input + tokens_out * per_output + per_request
    fields = 2 + ("total_tokens" in usage)
    if len(usage) == fields:
        return cost
    taken, made = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    if len(usage) != fields + ("prompt_tokens_details" in usage) + ("completion_tokens_details" in usage):
        return None
    cached = _cached(taken, made)
    return cost + cached * on_cached if 0 <= cached <= tokens_in else None


def cached_of(usage: dict[str, Any]) -> int:
    """Of the input of a usage that ``quick_pico`` has priced."""
    taken = usage.get("prompt_tokens_details")
    return taken["cached_tokens"] if taken else 0


def _cached(taken: Any, made: Any) -> int:
    """Of the input. -1: there is more in the details than that."""
    if made and (type(made) is not dict or any(made.values())):
        return -1
    if not taken:
        return 0
    if type(taken) is not dict or (len(taken) > 1 and (len(taken) > 2 or taken.get("audio_tokens") != 0)):
        return -1
    cached = taken.get("cached_tokens")
    return cached if type(cached) is int else -1
