"""What one token costs, and what a call costs by that. Pure.

Prices are written in US dollars per million tokens, as providers publish them; in that unit and in pico-dollars per
token a price is the same digits six places apart, so the sums are exact.  A price is a number, or steps: ``[1.25,
[200000, 2.5]]`` is 1.25, and 2.5 for all tokens of a request that has *more* than 200,000 input tokens.

    input, output                   every token that nothing below prices apart
    cached                          read from a cache; else as input
    cache_write, cache_write_1h     written to a cache, for an hour; else as input, as cache_write
    reasoning                       else as output
    input_audio, output_image, …    tokens of another kind than text; else as input, cached, output
    request, web_search             US dollars per thousand of them
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional, Union

import msgspec

from recost.llm.tokens import MAX_PICO, Usage

Written = Union[float, list[Union[float, tuple[int, float]]]]
"""A price as it stands in a file: a number, or the first price and then (more than, price)."""

Prices = dict[str, Written]
MAX_PRICE = 40_000
"""US dollars per million tokens: the dearest tokens cost some hundreds."""

TIERS = ("batch", "flex", "priority", "fast")

MAIN = ("input", "output", "cached", "cache_write", "cache_write_1h", "reasoning", "request")
PARTS = (
    "input_audio", "input_image", "input_video", "output_audio", "output_image", "output_video", "cached_audio",
    "cached_image", "cached_video", "web_search",
)  # fmt: skip


class Rates(msgspec.Struct, gc=False):
    """Pico-dollars per token, for requests with more than ``over`` input tokens."""

    over: int
    input: int
    output: int
    cached: int
    cache_write: int
    cache_write_1h: int
    reasoning_extra: int
    """On top of ``output``."""
    request: int
    extras: Optional[dict[str, int]]
    """For each part that is priced apart: on top of the price of what it is a part of."""


Steps = tuple[Rates, ...]
"""By rising ``over``; the first has -1."""


def read_steps(prices: Mapping[str, Written]) -> Steps:
    """The rates that ``prices`` mean. Raises ValueError, saying what would be right, for what no price can be."""
    unknown = sorted(set(prices) - {*MAIN, *PARTS})
    if unknown:
        raise ValueError(f"some of {', '.join((*MAIN, *PARTS))}, and no {unknown[0]!r}")
    stepped = {name: _steps_of(name, written) for name, written in prices.items()}
    starts = sorted({start for steps in stepped.values() for start, _ in steps} | {-1})
    return tuple(_rates(start, {name: _at(steps, start) for name, steps in stepped.items()}) for start in starts)


def cost_pico(steps: Steps, usage: Usage) -> int:
    """What ``usage`` costs, in pico-dollars."""
    rates, total = steps[0], usage.input
    if len(steps) > 1:
        for step in steps:
            if step.over < total:
                rates = step
    cost = total * rates.input + usage.output * rates.output + rates.request
    if usage.cached:
        cost += usage.cached * (rates.cached - rates.input)
    if usage.cache_write:
        hour = usage.cache_write_1h
        cost += (usage.cache_write - hour) * (rates.cache_write - rates.input)
        cost += hour * (rates.cache_write_1h - rates.input)
    if rates.reasoning_extra:
        cost += usage.reasoning * rates.reasoning_extra
    return cost if usage.parts is None or rates.extras is None else _with_parts(cost, usage.parts, rates.extras)


def _with_parts(cost: int, parts: dict[str, int], extras: dict[str, int]) -> int:
    cost += sum(tokens * extras.get(part, 0) for part, tokens in parts.items())
    return min(max(cost, 0), MAX_PICO)


def _steps_of(name: str, written: Written) -> list[tuple[int, int]]:
    """(more than, pico-dollars) by rising threshold."""
    first, *rest = written if isinstance(written, list) else [written]
    steps = [(-1, first), *rest]
    if not all(isinstance(step, (list, tuple)) and len(step) == 2 for step in steps):
        raise ValueError(f"{name} as a number or [number, [tokens, number], …], not {written!r}")
    return sorted((_threshold(name, start), _pico(name, price)) for start, price in steps)


def _threshold(name: str, start: object) -> int:
    if type(start) is not int or start < -1:
        raise ValueError(f"whole numbers of tokens in {name}, not {start!r}")
    return start


def _pico(name: str, price: object) -> int:
    """Per token from dollars per million, per one from dollars per thousand."""
    if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < MAX_PRICE:
        raise ValueError(f"{name} in US dollars, 0 or more, not {price!r}")
    return round(price * (1_000_000_000 if name in {"request", "web_search"} else 1_000_000))


def _at(steps: list[tuple[int, int]], start: int) -> int:
    """The price above ``start``."""
    return [price for over, price in steps if over <= start][-1]


def _rates(start: int, price: dict[str, int]) -> Rates:
    fresh, made = price.get("input", 0), price.get("output", 0)
    write = price.get("cache_write", fresh)
    whole = {"input": fresh, "output": made, "cached": price.get("cached", fresh)}
    extras = {part: price[part] - whole.get(part.partition("_")[0], 0) for part in PARTS if part in price}
    return Rates(
        over=start,
        input=fresh,
        output=made,
        cached=whole["cached"],
        cache_write=write,
        cache_write_1h=price.get("cache_write_1h", write),
        reasoning_extra=price.get("reasoning", made) - made,
        request=price.get("request", 0),
        extras=extras or None,
    )
