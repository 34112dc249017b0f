"""What no provider should say: corrected and counted, and nothing raises."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from recost import estimate_cost
from recost.llm import prices
from recost.llm.tokens import MAX_TOKENS
from recost.llm.usage import Usage, normalise
from tests.llm.test_usage import SHAPES


class Hostile:
    """An object whose attributes do anything but answer."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_an_object_that_raises_is_unknown_and_counted():
    assert normalise(Hostile()) == Usage(known=False, odd=1)
    assert normalise({"prompt_tokens": 10, "prompt_tokens_details": Hostile()}) == Usage(known=False, odd=1)
    assert estimate_cost("openai", "gpt-4o", Hostile()) == 0.0


ODD_COUNTS = [-1, True, False, math.nan, math.inf, -math.inf, "12", b"1", [], {}, 0.5, object(), Decimal("NaN"), 3 + 0j]


def test_an_odd_count_is_corrected_and_counted():
    for value in ODD_COUNTS:
        for usage in (normalise({"prompt_tokens": value}), normalise({"input_tokens": value})):
            assert (usage.input, usage.odd) == (0, 1), value


def test_no_odd_value_anywhere_raises_or_costs_less_than_nothing():
    for _, said, _ in SHAPES:
        for odd in odd_versions(said):
            for provider, model in [("google", "gemini-2.5-flash"), ("anthropic", "claude-sonnet-4-5")]:
                assert 0.0 <= estimate_cost(provider, model, odd) < 1.0, odd


def odd_versions(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """``said`` with each field, and each field of its details, replaced by each odd value or left out."""
    for field, inner in said.items():
        yield {name: value for name, value in said.items() if name != field}
        yield from ({**said, field: value} for value in [*ODD_COUNTS, None])
        for name in inner if isinstance(inner, dict) else ():
            yield from ({**said, field: {**inner, name: value}} for value in [*ODD_COUNTS, None])


def test_a_count_that_cannot_be_is_the_largest_that_can():
    assert normalise({"prompt_tokens": 10**30}) == Usage(MAX_TOKENS, odd=1)
    assert normalise({"prompt_tokens": 1e30}) == Usage(MAX_TOKENS, odd=1)


def test_whole_numbers_of_other_types_are_counts():
    class Index:
        def __index__(self) -> int:
            return 7

    assert normalise({"prompt_tokens": 7.0}) == normalise({"prompt_tokens": Index()}) == Usage(7)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 50}}, Usage(10, cached=10, odd=1)),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 8}},
            Usage(10, cached=8, cache_write=2, odd=1),
        ),
        (
            {"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 50}},
            Usage(0, 5, reasoning=5, odd=1),
        ),
        (
            {"input_tokens": 1, "cache_creation_input_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
            Usage(3, cache_write=2, cache_write_1h=2, odd=1),
        ),
        ({"prompt_token_count": 10, "cached_content_token_count": 50}, Usage(10, cached=10, odd=1)),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 9}},
            Usage(10, cached=8, parts={"input_audio": 2}),
        ),
    ],
)
def test_a_part_is_never_more_than_its_whole(said: dict[str, Any], expected: Usage):
    assert normalise(said) == expected


def test_an_odd_cost_is_none():
    for cost in (-1, True, math.nan, math.inf, "0.5", [1], 1e12, {"total_cost": -1}):
        usage = normalise({"prompt_tokens": 10, "cost": cost})

        assert (usage.reported_pico, usage.odd, usage.input) == (None, 1, 10), cost


@pytest.mark.usefixtures("frozen_prices")
@pytest.mark.parametrize(
    ("usage", "dollars", "odd"),
    [
        (
            {"prompt_tokens": 1000, "completion_tokens": 500, "prompt_tokens_details": {"cached_tokens": 2000}},
            0.00625,
            1,
        ),
        ({"prompt_tokens": -1, "completion_tokens": 500}, 0.005, 1),
        ({"prompt_tokens": True, "completion_tokens": 500}, 0.005, 1),
        ({"prompt_tokens": 1000, "completion_tokens": math.nan}, 0.0025, 1),
        ({"prompt_tokens": 1000, "completion_tokens": None}, 0.0025, 0),
        ({"prompt_tokens": 1000, "completion_tokens": 500, "prompt_tokens_details": None}, 0.0075, 0),
        ({"prompt_tokens": 1000, "completion_tokens": 500, "prompt_tokens_details": {}}, 0.0075, 0),
        (None, 0.0, 0),
    ],
)
def test_what_odd_usages_cost_and_count(usage: Any, dollars: float, odd: int):
    assert estimate_cost("openai", "gpt-4o", usage) == dollars
    assert prices.counts.odd == odd
    assert prices.counts.faults == 0
