"""What calls cost, to the figure; on a copy of the rows they need, so a new price list breaks no test."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

import recost
from recost import estimate_cost
from recost.llm import prices
from recost.llm.aliases import ALIASES, canonical
from recost.llm.overrides import Overrides
from recost.llm.prices import Cost, PriceList
from recost.llm.quick import quick_of, quick_pico
from recost.llm.rates import MAX_PRICE, cost_pico, read_steps
from recost.llm.table import Table
from recost.llm.tokens import MAX_PICO, MAX_TOKENS
from recost.llm.usage import Usage, normalise
from tests.llm.frozen import FROZEN, MILLION, chat, gemini, messages

pytestmark = pytest.mark.usefixtures("frozen_prices")
OPENAI = [
    ("gpt-4o", chat(1000, 500), "", 0.0075),
    ("gpt-4o", chat(1000, 500, prompt_tokens_details={"cached_tokens": 800}), "", 0.0065),
    ("gpt-4o", chat(1000, 500), "batch", 0.00375),
    ("gpt-4o", chat(1000, 500), "priority", 0.01275),
    ("gpt-4o", chat(1000, 500), "default", 0.0075),
    ("gpt-4o-mini", chat(1234, 567), "", 0.0005253),
    ("gpt-4-turbo", chat(1000, 500), "", 0.025),
    ("gpt-3.5-turbo", chat(1000, 500), "", 0.00125),
    ("gpt-4o-2024-05-13", chat(MILLION, MILLION), "", 20.0),
    ("gpt-5", chat(1000, 500, completion_tokens_details={"reasoning_tokens": 300}), "", 0.00625),
    ("gpt-5", chat(1000, 500, completion_tokens_details={"reasoning_tokens": 300}), "flex", 0.003125),
    ("o3-mini", chat(1000, 2000), "", 0.0099),
    ("text-embedding-3-small", {"prompt_tokens": 8, "total_tokens": 8}, "", 0.00000016),
]

SPLIT = {"cache_read_input_tokens": 600, "cache_creation_input_tokens": 300}
ANTHROPIC = [
    ("claude-3-5-sonnet-20241022", messages(1000, 500), "", 0.0105),
    ("claude-3-5-haiku-20241022", messages(1000, 500), "", 0.0028),
    ("claude-3-opus-20240229", messages(1000, 500), "", 0.0525),
    (
        "claude-sonnet-4-5",
        messages(
            100, 200, **SPLIT, cache_creation={"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100}
        ),
        "",
        0.00483,
    ),
    (
        "claude-sonnet-4-5",
        messages(5, 100, cache_read_input_tokens=128955, cache_creation_input_tokens=1253),
        "",
        0.04490025,
    ),
]

GOOGLE = [
    ("gemini-2.5-pro", gemini(200_000, 1000), "", 0.260),
    ("gemini-2.5-pro", gemini(200_001, 1000), "", 0.5150025),
    ("gemini-1.5-pro", gemini(1000, 500), "", 0.00375),
    ("gemini-1.5-flash", gemini(1000, 500), "", 0.000225),
    ("gemini-2.0-flash", gemini(1000, 500), "", 0.0003),
    ("gemini-2.5-flash", gemini(1000, 200, cached_content_token_count=800, thoughts_token_count=300), "", 0.001334),
]

FIGURES = [
    *(("openai", *case) for case in OPENAI),
    *(("anthropic", *case) for case in ANTHROPIC),
    *(("google", *case) for case in GOOGLE),
]


@pytest.mark.parametrize(("provider", "model", "usage", "tier", "dollars"), FIGURES)
def test_a_call_costs_what_its_provider_bills(provider, model, usage, tier, dollars):
    assert estimate_cost(provider, model, usage, service_tier=tier) == dollars


def test_an_object_costs_what_the_dict_does():
    for provider, model, usage, tier, dollars in FIGURES:
        as_object = json.loads(json.dumps(usage), object_hook=lambda fields: SimpleNamespace(**fields))

        assert estimate_cost(provider, model, as_object, service_tier=tier) == dollars, model


def test_one_wrong_price_makes_figures_wrong(monkeypatch: pytest.MonkeyPatch):
    """The control for the tests above."""
    wrong = FROZEN.replace(b'"input":2.5,', b'"input":2.6,')
    monkeypatch.setattr(prices, "_current", PriceList(Overrides(), Table(wrong)))

    assert estimate_cost("openai", "gpt-4o", chat(1000, 500)) == 0.0076


def test_a_model_is_found_whatever_the_case():
    for provider, model, *_ in FIGURES:
        assert estimate_cost(provider.upper(), model.upper(), {"prompt_tokens": 1000}) > 0, model


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-2024-08-06"),
        ("openai", "gpt-4o-20240806"),
        ("openai", "openai/gpt-4o"),
        ("azure", "gpt-4o"),
        ("azure.ai.openai", "gpt-4o-2024-08-06"),
        ("Azure OpenAI", "gpt-4o"),
    ],
)
def test_a_model_has_many_names(provider: str, model: str):
    assert estimate_cost(provider, model, chat(1000, 500)) == 0.0075


def test_who_resells_a_model_has_no_tiers_of_its_maker():
    assert estimate_cost("azure", "gpt-4o", chat(1000, 500), service_tier="batch") == 0.0075


def test_an_alias_is_found_however_it_is_written():
    for alias, name in ALIASES.items():
        written = f" {alias.upper().replace('-', '_')} "

        assert canonical(written) == canonical(alias.replace("-", " ")) == name


def test_no_alias_stands_for_another_alias():
    assert not set(ALIASES.values()) & set(ALIASES)


def test_the_usage_names_the_tier_where_it_carries_it():
    batch = messages(1000, 500, service_tier="batch")

    assert estimate_cost("anthropic", "claude-sonnet-4-5", batch) == 0.00525


def test_a_server_of_ones_own_costs_nothing_and_is_no_gap(caplog: pytest.LogCaptureFixture):
    cost = prices.price_list().cost("self_hosted", "llama-4", normalise(chat(1000, 500)))

    assert cost == Cost(0, "self_hosted")
    assert cost.is_priced
    assert not caplog.records


def test_an_unknown_model_is_unpriced_and_warned_of_once(caplog: pytest.LogCaptureFixture):
    costs = [estimate_cost("openai", "gpt-nobody-has", chat(1000, 500)) for _ in range(3)]

    assert costs == [0.0, 0.0, 0.0]
    assert prices.counts.unpriced == 3
    assert [(record.name, record.levelno) for record in caplog.records] == [("recost", logging.WARNING)]
    assert "gpt-nobody-has" in caplog.text


def test_unknown_is_not_free():
    assert not prices.price_list().cost("openai", "gpt-nobody-has", normalise(chat(1, 1))).is_priced
    assert not prices.price_list().cost("openai", "gpt-4o", normalise(None)).is_priced


def test_made_up_names_fill_no_memory(caplog: pytest.LogCaptureFixture):
    for n in range(3000):
        estimate_cost("openai", f"gpt-{n}", chat(1, 1))

    assert len(prices.price_list()._found) <= prices._REMEMBERED
    assert len(caplog.records) <= prices._REMEMBERED


@pytest.mark.parametrize("name", [None, 3, ["gpt-4o"], "x" * 5000, b"gpt-4o", ""])
def test_what_is_no_name_costs_nothing_and_raises_nothing(name):
    faults = prices.counts.faults
    assert estimate_cost("openai", name, chat(1000, 500)) == 0.0
    assert estimate_cost(name, "gpt-4o", chat(1000, 500)) == 0.0
    assert prices.counts.faults == faults


def test_what_the_response_says_it_cost_beats_the_table():
    assert estimate_cost("openai", "gpt-4o", chat(1000, 500, cost=0.0123)) == 0.0123
    assert estimate_cost("openrouter", "nobody/knows", chat(1000, 500, cost=0.0123)) == 0.0123


def test_a_price_that_was_announced_counts_from_its_day(monkeypatch: pytest.MonkeyPatch):
    """And what was found the day before is not kept."""
    costs = []
    for day in ("2026-11-30", "2026-12-01"):
        monkeypatch.setattr(prices, "_today", lambda day=day: day)
        costs.append(estimate_cost("google", "gemini-4-argon", gemini(1000, 500)))

    assert costs == [0.007, 0.014]


def test_a_stale_source_is_marked():
    cost = prices.price_list().cost("deepseek", "deepseek-chat", normalise(chat(1000, 500)))

    assert cost == Cost(450_000_000, "table", low_confidence=True)
    assert not prices.price_list().cost("openai", "gpt-4o", normalise(chat(1, 1))).low_confidence


def test_the_largest_cost_that_can_be_fits_an_int64():
    most = Usage(MAX_TOKENS, MAX_TOKENS, reasoning=MAX_TOKENS, parts={"web_search": MAX_TOKENS})
    dear = MAX_PRICE - 1
    overrides = Overrides()
    overrides.add({"a": {"b": dict.fromkeys(("input", "output", "request", "web_search"), dear)}}, "prices")

    cost = PriceList(overrides, Table(FROZEN)).cost("a", "b", most)

    assert 0 < cost.pico <= MAX_PICO


def test_estimate_cost_is_public():
    assert recost.estimate_cost is prices.estimate_cost
    assert "estimate_cost" in recost.__all__


def test_a_dataclass_is_a_usage():
    @dataclasses.dataclass
    class Used:
        prompt_tokens: int
        completion_tokens: int

    assert estimate_cost("openai", "gpt-4o", Used(1000, 500)) == 0.0075


def test_the_short_way_comes_to_the_same_or_does_not_answer():
    priced: dict[str, Any] = {
        "input": [2, [1000, 4]],
        "cached": 1,
        "output": 10,
        "reasoning": 20,
        "input_audio": 7,
        "request": 3,
    }
    cheap: dict[str, Any] = {"input": 2}
    tokens = (0, 999, 1000, 1001, MAX_TOKENS, MAX_TOKENS + 1, -1, True, None, "7", 2.0)
    taken: tuple[Any, ...] = (
        None,
        {},
        {"cached_tokens": 600},
        {"cached_tokens": -1},
        {"audio_tokens": 5},
        {"audio_tokens": 0},
        [1],
        3,
    )
    made: tuple[Any, ...] = (None, {"reasoning_tokens": 0}, {"reasoning_tokens": 3}, {"audio_tokens": None}, [0])
    answered = 0
    for prices_, tokens_in, inside, beside in itertools.product((priced, cheap), tokens, taken, made):
        steps = read_steps(prices_)
        for more in ({}, {"cost": 1}, {"prompt_tokens_details": inside, "completion_tokens_details": beside}):
            usage = {"prompt_tokens": tokens_in, "completion_tokens": 500, "total_tokens": 1500, **more}
            quick = quick_pico(quick_of(steps), usage)
            assert quick is None or (quick == cost_pico(steps, normalise(usage)) and "cost" not in usage)
            answered += quick is not None
    assert answered > 100
