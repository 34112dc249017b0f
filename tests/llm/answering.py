"""A provider on loopback that answers as OpenAI, Anthropic and Google do, and the LLM calls that a test made to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import recost
from examples.standins.server import Answer, Request, StandIn, json_answer
from tests.collector.collecting import delivered

HOST = "127.0.0.2"
OPENAI_USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 500,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 800},
}
RESPONSES_USAGE = {
    "input_tokens": 1000,
    "output_tokens": 500,
    "total_tokens": 1500,
    "input_tokens_details": {"cached_tokens": 800},
    "output_tokens_details": {"reasoning_tokens": 0},
}
MODEL = "gpt-4o-2024-08-06"


class Provider(NamedTuple):
    """What the stand-in was sent, and where it is."""

    url: str
    sent: list[dict[str, Any]]
    """The bodies, in order."""
    statuses: list[int]
    """To answer the next requests with, then 200."""


@contextmanager
def provider(name: str) -> Iterator[Provider]:
    """The stand-in, and recost capturing; calls to it are those of the provider called ``name``."""
    rule = recost.ProviderDef(HOST, name, endpoint_category="llm", cost_per_request_cents=2.0)
    sent: list[dict[str, Any]] = []
    statuses: list[int] = []

    async def answer(request: Request) -> Answer:
        body = json.loads(request.body or b"{}")
        sent.append(body)
        status = statuses.pop(0) if statuses else 200
        if status >= 400:
            return json_answer({"error": {"message": "a stand-in's error", "type": "x"}}, status, {"Retry-After": "0"})
        return _answer(request.path, body)

    with (
        StandIn(answer, [(HOST, 0)]) as server,
        recost.init(project_id="shop", collector="thread", custom_providers=[rule]),
    ):
        host, port = server.addresses[0]
        yield Provider(f"http://{host}:{port}", sent, statuses)
        assert recost.flush(30)


class Account(NamedTuple):
    """What arrived, of all windows."""

    calls: int
    errors: int
    unpriced: int
    usd: float
    """By the view of models."""
    total_usd: float
    """By the metrics, which are the truth."""
    http_calls: int


def account() -> Account:
    entries = [entry for window in delivered() for entry in window.get("llmMetrics", [])]
    rows = [row for window in delivered() for row in window["metrics"]]
    return Account(
        calls=sum(entry["requestCount"] for entry in entries),
        errors=sum(entry["errorCount"] for entry in entries),
        unpriced=sum(entry["unpricedCount"] for entry in entries),
        usd=round(sum(entry["costUsd"] for entry in entries), 9),
        total_usd=round(sum(row["estimatedCostCents"] for row in rows) / 100, 9),
        http_calls=sum(row["requestCount"] for row in rows),
    )


def tags() -> set[str]:
    return {entry["featureTag"] for window in delivered() for entry in window.get("llmMetrics", [])}


def models() -> set[tuple[str, str]]:
    return {(e["provider"], e["model"]) for window in delivered() for e in window.get("llmMetrics", [])}


def _answer(path: str, body: dict[str, Any]) -> Answer:
    if "Content" in path:
        return _google(path)
    answer = {"embeddings": _embeddings, "responses": _responses, "messages": _messages, "completions": _chat}
    kind = path.rpartition("/")[2]
    if kind in answer:
        return answer[kind](body)
    return json_answer({"object": "list", "data": [], "input_tokens": 5})


def _embeddings(body: dict[str, Any]) -> Answer:
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    embedding = {"object": "embedding", "index": 0, "embedding": [0.5]}
    return json_answer({"object": "list", "model": body["model"], "data": [embedding], "usage": usage})


def _chat(body: dict[str, Any]) -> Answer:
    said = {"id": "1", "created": 1, "model": MODEL}
    if not body.get("stream"):
        message = {"role": "assistant", "content": '{"a": 1}'}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return json_answer({**said, "object": "chat.completion", "choices": [choice], "usage": OPENAI_USAGE})
    piece = {"index": 0, "delta": {"content": "hi"}, "finish_reason": None}
    events: list[Any] = [{**said, "object": "chat.completion.chunk", "choices": [piece], "usage": None}] * 2
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append({**said, "object": "chat.completion.chunk", "choices": [], "usage": OPENAI_USAGE})
    if body["model"] == "fails":
        events.append({"error": {"message": "a stand-in's error"}})
    return _events([*events, "[DONE]"])


def _responses(body: dict[str, Any]) -> Answer:
    kind = body["model"] if body["model"] in {"incomplete", "failed"} else "completed"
    response: dict[str, Any] = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": MODEL,
        "status": kind,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSES_USAGE,
    }
    if not body.get("stream"):
        return json_answer(response)
    begun = {"type": "response.created", "sequence_number": 0, "response": {**response, "usage": None}}
    return _events([begun, {"type": f"response.{kind}", "sequence_number": 1, "response": response}])


def _messages(body: dict[str, Any]) -> Answer:
    usage = {"input_tokens": 100, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 0}
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "stop_sequence": None,
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {**usage, "output_tokens": 200},
    }
    if not body.get("stream"):
        return json_answer(message)
    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    end = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 200}}
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}
    events: list[Any] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        text,
        {"type": "message_delta", "delta": end["delta"], "usage": {"output_tokens": 90}},
        {"type": "message_delta", "delta": end["delta"], "usage": end["usage"]},
        {"type": "message_stop"},
    ]
    return _events(events, named=True)


def _google(path: str) -> Answer:
    if "mbedContent" in path:
        return json_answer({"embeddings": [{"values": [0.5]}], "embedding": {"values": [0.5]}})
    usage = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 800,
        "candidatesTokenCount": 200,
        "thoughtsTokenCount": 300,
        "totalTokenCount": 1500,
    }
    content = {"role": "model", "parts": [{"text": "hi"}]}
    piece = {"candidates": [{"content": content}], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}
    if "stream" not in path:
        return json_answer(piece)
    begun = {**piece, "usageMetadata": {"promptTokenCount": 1000, "totalTokenCount": 1000}}
    return _events([begun, piece])


def _events(events: list[Any], *, named: bool = False) -> Answer:
    async def chunks() -> AsyncIterator[bytes]:
        for event in events:
            data = event if isinstance(event, str) else json.dumps(event)
            name = f"event: {event['type']}\n" if named else ""
            yield f"{name}data: {data}\n\n".encode()

    return Answer(200, headers={"Content-Type": "text/event-stream"}, chunks=chunks())
