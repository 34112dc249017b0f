"""LLM calls on their way through a collector: one account of cost, whichever way it was told, and a view by model."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from recost_collector.paint import Painter
from recost_collector.status_look import gather
from recost_collector.status_text import to_text
from tests.collector.collecting import Worker, collector, delivered, file_session, runtime, turn_until
from tests.collector.llm_calls import (
    CHAT,
    ESTIMATE,
    cents,
    commit_all,
    flush_all,
    http,
    is_read,
    lead_and_be_killed,
    llm,
    rows,
)


def test_the_cost_of_a_patched_call_goes_to_the_row_of_its_http_call() -> None:
    worker = Worker(file_session())
    with collector():
        http(worker, is_llm=True)
        llm(worker, 0.75, netloc="api.openai.com")
        worker.leave()

    assert rows() == {CHAT: (1, 0.75)}
    (window,) = delivered()
    assert window["protocolVersion"] == "1.1"
    assert window["llmMetrics"] == [
        {
            "provider": "openai",
            "model": "gpt-4o",
            "featureTag": "default",
            "requestCount": 1,
            "errorCount": 0,
            "promptTokens": 1000,
            "completionTokens": 500,
            "cachedTokens": 800,
            "costUsd": 0.0075,
            "unpricedCount": 0,
            "totalLatencyMs": 7.0,
            "p50LatencyMs": 7.0,
            "p95LatencyMs": 7.0,
        }
    ]


def test_a_cost_that_comes_when_the_window_of_its_http_call_is_gone_is_a_row_without_a_call() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        http(worker, is_llm=True)
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the flush")
        llm(worker, 0.75, netloc="api.openai.com", first_token_ns=3_000_000)
        worker.leave()

    first, second = delivered()
    assert [(m["requestCount"], m["estimatedCostCents"]) for m in first["metrics"]] == [(1, 0.0)]
    assert [(m["requestCount"], m["estimatedCostCents"]) for m in second["metrics"]] == [(0, 0.75)]
    assert [(entry["p50TtftMs"], entry["p95TtftMs"]) for entry in second["llmMetrics"]] == [(3.0, 3.0)]


def test_a_patched_call_without_a_known_cost_gets_the_estimate_after_all() -> None:
    worker = Worker(file_session())
    with collector():
        http(worker, is_llm=True)
        llm(worker, 0.0, netloc="api.openai.com", is_priced=False)
        worker.leave()

    assert rows() == {CHAT: (1, ESTIMATE)}
    (entry,) = delivered()[0]["llmMetrics"]
    assert (entry["costUsd"], entry["unpricedCount"]) == (0.0, 1)


def test_a_tracked_call_takes_the_estimate_off_one_captured_call() -> None:
    worker = Worker(file_session())
    with collector():
        for _ in range(3):
            http(worker)
        llm(worker, 0.75)
        worker.leave()

    assert rows() == {CHAT: (3, 2 * ESTIMATE), ("openai", "gpt-4o", "TRACK"): (1, 0.75)}


def test_a_tracked_call_takes_nothing_off_another_provider_or_a_call_that_has_no_estimate() -> None:
    worker = Worker(file_session())
    with collector():
        http(worker, host="api.anthropic.com")
        http(worker, is_llm=True)
        llm(worker, 0.5, netloc="api.openai.com")
        llm(worker, 0.75)
        worker.leave()

    assert cents() == 1.0 + 0.5 + 0.75


def test_the_view_by_tag_follows_what_is_taken_off() -> None:
    worker = Worker(file_session())
    with collector():
        for tag in ("a", "b", ""):
            http(worker, tag=tag)
        llm(worker, 0.75, tag="b")
        worker.leave()

    (window,) = delivered()
    cost = {(e["featureTag"], e["method"]): e["estimatedCostCents"] for e in window["tagMetrics"]}
    assert cost == {("a", "POST"): ESTIMATE, ("b", "POST"): 0.0, ("b", "TRACK"): 0.75}
    assert cents() == 2 * ESTIMATE + 0.75


@pytest.mark.parametrize("late_ns", [0, 301_000_000_000])
def test_a_call_tracked_before_any_was_captured_frees_the_next_within_five_minutes(late_ns: int) -> None:
    """Also when the window has closed in between. A second one gets its estimate."""
    worker = Worker(file_session())
    with collector() as leadership:
        llm(worker, 0.75, at_ns=time.time_ns() - late_ns)
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the flush")
        http(worker)
        http(worker)
        worker.leave()

    assert cents() == 0.75 + (2 * ESTIMATE if late_ns else ESTIMATE)


def test_credits_and_rows_survive_collectors_that_are_killed() -> None:
    worker = Worker(file_session())
    for _ in range(2):
        llm(worker, 0.75)
    lead_and_be_killed(flush_all(worker))
    for _ in range(3):
        http(worker)
    llm(worker, 0.5, tag="x")
    lead_and_be_killed(commit_all(worker))
    with collector():
        http(worker)
        llm(worker, 0.5)
        worker.leave()

    # Two of the four captured calls had a credit, the estimates of two were taken off.
    assert rows() == {CHAT: (4, 0.0), ("openai", "gpt-4o", "TRACK"): (4, 2.5)}


def test_many_models_and_tags_are_bounded_and_none_is_missing() -> None:
    worker = Worker(file_session(max_batch_size=10_000), capacity=1 << 18)
    with collector() as leadership:
        for number in range(300):
            llm(worker, 1.0, tag=f"feature {number}")
        turn_until(leadership, lambda: is_read(worker), what="a commit")
        worker.leave()

    (window,) = delivered()
    assert len(window["llmMetrics"]) == 201
    assert sum(entry["requestCount"] for entry in window["llmMetrics"]) == 300
    assert [e["requestCount"] for e in window["llmMetrics"] if e["featureTag"] == "other"] == [100]


def test_credits_of_a_spool_that_is_adopted_count_on() -> None:
    """Its workers have come here with the runtime directory, or others of the same session are here."""
    worker = Worker(file_session())
    with collector() as leadership:
        for _ in range(2):
            llm(worker, 0.75)
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the flush")
        http(worker)
        turn_until(leadership, lambda: is_read(worker), what="a commit")
        worker.leave()
        turn_until(leadership, lambda: not leadership.service.rings.sources, what="the ring to go")
    Path(runtime(), "spool-id").unlink()  # that spool belongs to nobody now
    worker = Worker(file_session())
    with collector():
        http(worker)
        http(worker)
        worker.leave()

    assert rows() == {CHAT: (3, ESTIMATE), ("openai", "gpt-4o", "TRACK"): (2, 1.5)}


def test_status_shows_what_llms_cost_in_open_windows() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        for number in range(10):
            llm(worker, 1.0 + number, tag=f"feature {number}")
        llm(worker, 0.0, is_priced=False)
        turn_until(leadership, lambda: is_read(worker), what="a commit")
        status = gather()
        worker.leave()

    dearest = status.open_llm_spend[0]
    assert (dearest.model, dearest.tag, dearest.calls, dearest.cost_usd) == ("gpt-4o", "feature 9", 1, 0.1)
    assert sum(found.unpriced for found in status.open_llm_spend) == 1
    text = to_text(status, Painter(io.StringIO()), 0)
    assert "LLM, open windows  $0.5500 for 11 calls" in text
    assert "$0.1000  openai gpt-4o [feature 9]  1 call" in text
    assert "and 8 more" in text
