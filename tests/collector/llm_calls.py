"""Events of LLM calls and of the HTTP calls under them, as workers write them, and what was delivered of them."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Callable

from recost.event import CallEvent, LlmEvent, encode
from recost.ring.layout import HEAD
from recost_collector.leading import Leadership, lead
from tests.collector.collecting import Worker, delivered, runtime, total, turn_until
from tests.harness import run_child

CHAT = ("openai", "chat_completions", "POST")
ESTIMATE = 2.0
"""Cents of one chat completion, by the rules."""


def http(worker: Worker, *, is_llm: bool = False, tag: str = "", host: str = "api.openai.com") -> None:
    event = CallEvent(
        time.time_ns(), 5_000_000, "POST", "https", host, "/v1/chat/completions", 200, 10, 20, tag, is_llm
    )
    assert worker.writer.offer(encode(event))


def llm(worker: Worker, cents: float, **fields: Any) -> None:
    """One call of gpt-4o that cost ``cents``; by default tracked by hand."""
    given = {"by_hand": True, "at_ns": time.time_ns(), "provider": "openai", **fields}
    if "netloc" in fields:
        given.update(by_hand=False, method="POST", path="/v1/chat/completions")
    event = LlmEvent(
        duration_ns=7_000_000,
        model="gpt-4o",
        prompt_tokens=1000,
        completion_tokens=500,
        cached_tokens=800,
        cost_pico_usd=round(cents * 10**10),
        **given,
    )
    assert worker.writer.offer(encode(event))


def is_read(worker: Worker) -> bool:
    return worker.ring.words[HEAD] == worker.writer.tail


def cents() -> float:
    return round(total(of="estimatedCostCents"), 9)


def rows() -> dict[tuple[str, str, str], tuple[int, float]]:
    """Calls and cents by key, of all windows."""
    found: dict[tuple[str, str, str], tuple[int, float]] = {}
    for window in delivered():
        for metric in window["metrics"]:
            key = metric["provider"], metric["endpoint"], metric["method"]
            calls, cost = found.get(key, (0, 0.0))
            found[key] = calls + metric["requestCount"], cost + metric["estimatedCostCents"]
    return found


def lead_and_be_killed(act: Callable[[Leadership], None]) -> None:
    """A collector in a process of its own, which is killed right after ``act``."""

    def child() -> None:
        leadership = lead(runtime(), "thread", 1.0)
        assert leadership is not None
        act(leadership)
        os.kill(os.getpid(), signal.SIGKILL)

    assert run_child(child) == -signal.SIGKILL


def commit_all(*workers: Worker) -> Callable[[Leadership], None]:
    """Turn until all that they have told is committed."""
    return lambda leadership: turn_until(leadership, lambda: all(map(is_read, workers)), what="a commit")


def flush_all(*workers: Worker) -> Callable[[Leadership], None]:
    """Turn until all that they have told is delivered."""

    def act(leadership: Leadership) -> None:
        for worker in workers:
            worker.ask_for_flush()
        turn_until(leadership, lambda: all(worker.is_settled() for worker in workers), what="the flush")

    return act
