"""The log of LLM calls: each is a line once, whoever is killed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recost.session import Session
from recost_collector import llm_log
from tests.collector.collecting import Worker, collector, delivered, file_session
from tests.collector.llm_calls import cents, commit_all, http, lead_and_be_killed, llm


def with_log(**settings: Any) -> Session:
    session = file_session(**settings)
    url = session.destination.url.replace(".jsonl", ".llm.jsonl")
    return msgspec.structs.replace(session, llm_log=msgspec.structs.replace(session.destination, url=url))


def logged() -> list[dict[str, Any]]:
    path = Path(os.environ["RECOST_LOCAL_DIR"], "shop.llm.jsonl")
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_each_call_is_a_line_of_the_log_once_whoever_is_killed() -> None:
    worker = Worker(with_log(environment="production"))
    for _ in range(2):
        llm(worker, 0.75, tag="a", metadata='{"user": 1}')
        http(worker)
        lead_and_be_killed(commit_all(worker))
    with collector():
        llm(worker, 0.5, netloc="api.openai.com", ending="broken_off", first_token_ns=3_000_000, metadata="{")
        worker.leave()

    first, second, third = logged()
    assert first == {**second, "time": first["time"]}
    del first["time"], third["time"]
    shared = {
        "environment": "production",
        "provider": "openai",
        "model": "gpt-4o",
        "promptTokens": 1000,
        "completionTokens": 500,
        "cachedTokens": 800,
        "priced": True,
        "error": False,
        "latencyMs": 7.0,
    }
    assert first == {**shared, "featureTag": "a", "costUsd": 0.0075, "ending": "tracked", "metadata": {"user": 1}}
    theirs = {"costUsd": 0.005, "ending": "broken_off", "ttftMs": 3.0, "metadata": "{"}
    assert third == {**shared, "featureTag": "default", **theirs}
    assert sum(window["metrics"][0]["requestCount"] for window in delivered()) >= 2


def test_a_window_is_closed_before_its_log_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm_log, "MAX_BYTES", 1000)
    worker = Worker(with_log(max_batch_size=10_000))
    with collector():
        for _ in range(20):
            llm(worker, 0.1)
        worker.leave()

    assert len(logged()) == 20
    assert len(delivered()) > 3
    assert cents() == 2.0
