"""The short way to a price: for a plain dict in OpenAI's shape, with nothing in it that is priced apart. Pure.

``usage.normalise`` and ``rates.cost_pico`` come to the same, for every usage there is, in twice the time.
"""

from __future__ import annotations

from typing import Any, Optional

from recost.llm.rates import Steps
from recost.llm.tokens import MAX_TOKENS

FIELDS = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}
)


def quick_pico(steps: Steps, usage: dict[str, Any]) -> Optional[int]:
    """What ``usage`` costs, in pico-dollars. None: it is not that simple."""
    tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if type(tokens_in) is not int or type(tokens_out) is not int or not usage.keys() <= FIELDS:
        return None
    if not (0 <= tokens_in <= MAX_TOKENS and 0 <= tokens_out <= MAX_TOKENS):
        return None
    rates = steps[0]
    if len(steps) > 1 and steps[1].over < tokens_in:
        return None
    cost = tokens_in * rates.input + tokens_out * rates.output + rates.request
    if len(usage) < 4:
        return cost
    cached = _cached(usage.get("prompt_tokens_details"), usage.get("completion_tokens_details"))
    return cost + cached * (rates.cached - rates.input) if 0 <= cached <= tokens_in else None


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
