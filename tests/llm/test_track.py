"""``recost.track``: what a program tells of its LLM calls arrives, whatever it says and whenever."""

from __future__ import annotations

import logging
import math

import pytest

import recost
from recost.llm import track as tracking
from tests.collector.collecting import delivered


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


def test_before_init_calls_are_dropped_and_counted_with_one_warning(caplog: pytest.LogCaptureFixture):
    before = tracking.counts.dropped
    with caplog.at_level(logging.WARNING, "recost"):
        for _ in range(3):
            recost.track("openai", "gpt-4o", 1, 1, 1.0, 1.0)
    assert tracking.counts.dropped - before == 3
    assert len(caplog.records) <= 1
    assert recost.flush()
