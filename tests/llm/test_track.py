"""``recost.track``: what a program tells of its LLM calls arrives, whatever it says and whenever."""

from __future__ import annotations

import json
import logging
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import recost
from recost._capture import fault_count
from recost.llm import track as tracking
from recost.llm.prices import set_prices
from tests.collector.collecting import delivered
from tests.conftest import Place


def test_a_tracked_call_arrives_with_its_cost_model_and_tag():
    with recost.init(project_id="shop", collector="thread"):
        recost.track("OpenAI", "gpt-4o", 1000, 500, 0.0075, 250.0, "checkout", {"user": object()})
        with recost.feature_tag("search"):
            recost.track("openai", "gpt-4o", 10, 5, 0.5, 100)
            recost.track("openai", "gpt-4o", 10, 5, None, 100, feature_tag="checkout")
        assert recost.flush(30)

    (window,) = delivered()
    assert [(m["provider"], m["endpoint"], m["method"], m["requestCount"]) for m in window["metrics"]] == [
        ("openai", "gpt-4o", "TRACK", 3)
    ]
    tags = {entry["featureTag"]: entry for entry in window["llmMetrics"]}
    assert (tags["checkout"]["costUsd"], tags["search"]["costUsd"]) == (0.0075 + 0.000075, 0.5)
    assert tags["checkout"]["promptTokens"] == 1010
    assert {entry["featureTag"] for entry in window["tagMetrics"]} == {"checkout", "search"}


def test_the_log_of_llm_calls_has_metadata_up_to_a_limit_and_only_where_it_is_wanted(place: Place):
    class Strange:
        def __str__(self) -> str:
            return "strange"

    log = place.local / "shop.llm.jsonl"
    given: Any = {"user": 1, "what": Strange(), "long": "x" * 2000, 3: [None, "é"]}
    for is_wanted in (False, True):
        with recost.init(project_id="shop", collector="thread", llm_event_log=is_wanted):
            recost.track("openai", "gpt-4o", 1000, 500, 0.0075, 250.0, "checkout", given)
            recost.track("openai", "gpt-4o", 1, 1, 0.0, 1.0, metadata=Strange())  # type: ignore[arg-type]
        assert log.exists() == is_wanted
    first, second = (json.loads(line) for line in log.read_bytes().splitlines())
    assert (first["featureTag"], first["costUsd"]) == ("checkout", 0.0075)
    assert first["metadata"] == {"user": 1, "what": "strange", "3": [None, "é"]}
    assert "metadata" not in second
    assert log.stat().st_mode & 0o777 == 0o600


def test_metadata_that_cannot_be_told_are_the_programs_and_cost_nothing_else(place: Place):
    """They count as odd and not as faults of recost's, and what else there is to tell is told."""

    class Unasked(dict):  # type: ignore[type-arg]
        def __bool__(self) -> bool:
            raise ValueError("the truth value is ambiguous")

    itself: dict[str, Any] = {}
    itself["itself"] = itself
    given: list[Any] = [{"user": 1, "text": "\udcff"}, itself, [1], "text", Unasked(user=2)]
    odd, faults = tracking.counts.odd, (tracking.counts.faults, fault_count())
    for is_wanted in (False, True):
        with recost.init(project_id="shop", collector="thread", llm_event_log=is_wanted):
            for metadata in given:
                recost.track("openai", "gpt-4o", 1, 1, 0.0, 1.0, metadata=metadata)
        assert (tracking.counts.faults, fault_count()) == faults
        assert tracking.counts.odd - odd == (4 if is_wanted else 0)

    lines = [json.loads(line) for line in (place.local / "shop.llm.jsonl").read_bytes().splitlines()]
    assert [line.get("metadata") for line in lines] == [{"user": 1}, None, None, None, {"user": 2}]


def test_own_prices_come_from_arguments_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def cost() -> float:
        return recost.estimate_cost("acme", "mine", {"prompt_tokens": 1_000_000})

    files = [tmp_path / "argument.json", tmp_path / "variable.json"]
    for price, file in enumerate(files, start=2):
        file.write_text(json.dumps({"acme": {"mine": {"input": price}}}))
    monkeypatch.setenv("RECOST_PRICES_FILE", str(files[1]))
    with recost.init(collector="thread", prices={"acme": {"mine": {"input": 1}}}, prices_file=str(files[0])):
        assert cost() == 1
    with recost.init(collector="thread", prices_file=str(files[0])):
        assert cost() == 2
    with recost.init(collector="thread"):
        assert cost() == 3
    files[1].write_text("{")
    monkeypatch.setenv("RECOST_PRICES_FILE", f"{files[1]} ")
    with pytest.raises(recost.ConfigError, match=r"^RECOST_PRICES_FILE"):
        recost.init(collector="thread")
    assert cost() == 3, "nothing has changed"
    monkeypatch.delenv("RECOST_PRICES_FILE")
    set_prices()


def test_odd_numbers_are_corrected_and_counted():
    before = tracking.counts.odd
    odd = [-1, math.nan, math.inf, True, "7", object(), 10**30, b""]
    with recost.init(project_id="shop", collector="thread"):
        for number in odd:
            recost.track(None, "x" * 500, number, number, number, number, number, number)  # type: ignore[arg-type]
        assert recost.flush(30)

    entries = [entry for window in delivered() for entry in window["llmMetrics"]]
    assert {(entry["provider"], entry["model"]) for entry in entries} == {("unknown", "x" * 200)}
    assert sum(entry["requestCount"] for entry in entries) == len(odd)
    assert tracking.counts.odd - before == 6 * len(odd)
    assert tracking.counts.faults == 0


class Float(float):
    """As numpy's are."""


@pytest.mark.parametrize("cost", [Decimal("0.0075"), Float(0.0075), Fraction(3, 400)])
def test_a_cost_of_another_type_of_number_counts(cost: Any):
    with recost.init(project_id="shop", collector="thread"):
        recost.track("acme", "m1", 10, 5, cost, 1.0)
        assert recost.flush(30)

    (entry,) = [entry for window in delivered() for entry in window["llmMetrics"]]
    assert (entry["costUsd"], entry["unpricedCount"]) == (0.0075, 0)


@pytest.mark.parametrize("cost", ["0.0075", math.nan, math.inf, -1, 1e30, True])
def test_a_cost_that_is_none_is_not_taken_for_a_price_of_nothing(cost: Any):
    with recost.init(project_id="shop", collector="thread"):
        recost.track("acme", "m1", 10, 5, cost, 1.0)
        recost.track("openai", "gpt-4o", 1000, 500, cost, 1.0)
        assert recost.flush(30)

    entries = {entry["model"]: entry for window in delivered() for entry in window["llmMetrics"]}
    assert (entries["m1"]["costUsd"], entries["m1"]["unpricedCount"]) == (0, 1)
    assert entries["gpt-4o"]["costUsd"] == 0.0075


def test_before_init_calls_are_dropped_and_counted_with_one_warning(caplog: pytest.LogCaptureFixture):
    before = tracking.counts.dropped
    with caplog.at_level(logging.WARNING, "recost"):
        for _ in range(3):
            recost.track("openai", "gpt-4o", 1, 1, 1.0, 1.0)
    assert tracking.counts.dropped - before == 3
    assert len(caplog.records) <= 1
    assert recost.flush()
