"""The user's own prices: from the argument, a file or the environment, before any table."""

from __future__ import annotations

import json
import logging

import pytest

from recost import ConfigError, estimate_cost
from recost.llm import prices
from recost.llm.prices import set_prices
from recost.llm.rates import MAX_PRICE
from recost.llm.table import Table
from tests.llm.frozen import FROZEN, MILLION, chat

pytestmark = pytest.mark.usefixtures("frozen_prices", "_table")
MINE = {"input": 1, "output": 2, "cached": 0.5}


@pytest.fixture
def _table(monkeypatch: pytest.MonkeyPatch):
    """``set_prices`` builds its lists on the frozen rows, too."""
    monkeypatch.setattr(prices, "_open_table", lambda: Table(FROZEN))


def test_they_beat_the_table_and_the_response():
    set_prices({"OpenAI": {"GPT-4o": MINE}})

    assert estimate_cost("openai", "gpt-4o", chat(1000, 500)) == 0.002
    assert estimate_cost("openai", "gpt-4o", chat(1000, 500, cost=9.0)) == 0.002
    assert estimate_cost("openai", "gpt-4o-mini", chat(1234, 567)) == 0.0005253


def test_the_longest_name_wins_and_a_named_provider_before_any():
    set_prices(
        {
            "*": {"our-*": {"input": 9}, "our-llama": {"input": 8}},
            "openai": {"our-*": {"input": 1}, "our-llama*": {"input": 2}, "our-llama-70b": {"input": 3}},
        }
    )
    costs = [
        estimate_cost(provider, model, {"prompt_tokens": MILLION})
        for provider, model in [
            ("openai", "our-phi"), ("openai", "our-llama-8b"), ("openai", "our-llama-70b"), ("proxy", "our-llama"),
            ("proxy", "our-phi"),
        ]
    ]  # fmt: skip

    assert costs == [1, 2, 3, 8, 9]


def test_they_have_steps_and_tiers():
    batch = {"input": 1}
    set_prices({"openai": {"mine": {"input": [2, [1000, 4]], "output": 10, "tiers": {"batch": batch}}}})

    usages = [(chat(1000, 0), ""), (chat(1001, 0), ""), (chat(1000, 0), "batch"), (chat(1000, 0), "flex")]
    costs = [estimate_cost("openai", "mine", usage, service_tier=tier) for usage, tier in usages]

    assert costs == [0.002, 0.004004, 0.001, 0.002]


def test_the_argument_beats_the_file_and_the_file_the_environment(tmp_path, monkeypatch):
    named, everywhere = tmp_path / "named.json", tmp_path / "environment.json"
    named.write_text(json.dumps({"openai": {"a": {"input": 2}, "b": {"input": 2}}}))
    everywhere.write_text(json.dumps({"openai": {model: {"input": 3} for model in "abc"}}))
    monkeypatch.setenv("RECOST_PRICES_FILE", str(everywhere))

    set_prices({"openai": {"a": {"input": 1}}}, file=str(named))

    assert [estimate_cost("openai", model, {"prompt_tokens": MILLION}) for model in "abc"] == [1, 2, 3]


def test_the_environment_counts_without_a_call(tmp_path, monkeypatch):
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"openai": {"gpt-4o": MINE}}))
    monkeypatch.setenv("RECOST_PRICES_FILE", str(file))
    monkeypatch.setattr(prices, "_current", None)

    assert estimate_cost("openai", "gpt-4o", chat(1000, 500)) == 0.002


def test_a_bad_file_in_the_environment_is_one_warning_and_the_table_counts(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("RECOST_PRICES_FILE", str(tmp_path / "nowhere.json"))
    monkeypatch.setattr(prices, "_current", None)

    assert [estimate_cost("openai", "gpt-4o", chat(1000, 500)) for _ in range(2)] == [0.0075, 0.0075]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "RECOST_PRICES_FILE" in caplog.text


@pytest.mark.parametrize(
    "given",
    [
        [], {"openai": 3}, {"openai": {"gpt": 3}}, {"openai": {"gpt": {}}}, {3: {}}, {"openai": {3: {"input": 1}}},
        {"openai": {"gpt": {"inptu": 3}}}, {"openai": {"gpt": {"input": -1}}}, {"openai": {"gpt": {"input": "3"}}},
        {"openai": {"gpt": {"input": True}}}, {"openai": {"gpt": {"input": float("nan")}}},
        {"openai": {"gpt": {"input": MAX_PRICE}}}, {"openai": {"gpt": {"input": [1, 2]}}},
        {"openai": {"gpt": {"input": [1, [-5, 2]]}}}, {"openai": {"gpt": {"input": []}}},
        {"openai": {"gpt": {"input": 1, "tiers": {"slow": {}}}}}, {"openai": {"gpt": {"input": 1, "tiers": 3}}},
        {"openai": {"gpt": {"input": 1, "tiers": {"batch": 3}}}},
    ],
)  # fmt: skip
def test_a_wrong_price_is_an_error_that_names_it_and_changes_nothing(given):
    set_prices({"openai": {"gpt-4o": MINE}})

    with pytest.raises(ConfigError, match=r"^prices"):
        set_prices(given)

    assert estimate_cost("openai", "gpt-4o", chat(1000, 500)) == 0.002


@pytest.mark.parametrize("content", [None, "", "{", "[1]", '{"openai": {"gpt": 3}}', '{"openai": {"gpt": {"in": 3}}}'])
def test_a_wrong_file_is_an_error_that_names_it(content, tmp_path):
    file = tmp_path / "prices.json"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ConfigError, match="prices_file"):
        set_prices(file=str(file))
