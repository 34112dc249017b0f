"""What OpenAI, Anthropic and Google answer to LLM calls: JSON, or server-sent events where the request wants a stream.

Each says what was used, as the real ones do: OpenAI's chat streams only when they are asked to.  Some names of models
are orders to answer badly:

    cut           a stream whose connection is cut after its first piece
    hangs         no answer, or no second piece of a stream
    error         a stream with an error in its middle
    incomplete    OpenAI's Responses, with that status
    failed        likewise
    calls a tool  Google: asks once for the function that the request declares
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Optional

from examples.standins.server import Answer, json_answer

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
EMBEDDING_USAGE = {"prompt_tokens": 8, "total_tokens": 8}
ANTHROPIC_USAGE = {"input_tokens": 100, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 0}
GOOGLE_USAGE = {
    "promptTokenCount": 1000,
    "cachedContentTokenCount": 800,
    "candidatesTokenCount": 200,
    "thoughtsTokenCount": 300,
    "totalTokenCount": 1500,
}
GPT, CLAUDE, GEMINI = "gpt-4o-2024-08-06", "claude-sonnet-4-5", "gemini-2.5-flash"
"""The models that answer, whatever was asked for."""
CLAUDE_ELSEWHERE = (":rawPredict", ":streamRawPredict", "/invoke")
"""Vertex and Bedrock have the model in the path."""
HANGS_S = 60.0
TEXT = '{"a": 1}'


async def answer(path: str, body: dict[str, Any]) -> Optional[Answer]:
    """None: no LLM call."""
    model = str(body.get("model", ""))
    if model == "hangs" and not body.get("stream"):
        await asyncio.sleep(HANGS_S)
    if "enerateContent" in path or "mbedContent" in path:
        return _google(path, body)
    if path.endswith(CLAUDE_ELSEWHERE):
        return _messages(body, model)
    kinds = {
        "embeddings": _embeddings,
        "responses": _responses,
        "compact": _compacted,
        "messages": _messages,
        "completions": _chat,
    }
    kind = _text if path.endswith("/v1/completions") else kinds.get(path.rpartition("/")[2])
    return kind(body, model) if kind is not None and model else None


def _embeddings(_body: dict[str, Any], model: str) -> Answer:
    embedding = {"object": "embedding", "index": 0, "embedding": [0.5]}
    return json_answer({"object": "list", "model": model, "data": [embedding], "usage": EMBEDDING_USAGE})


def _text(_body: dict[str, Any], _model: str) -> Answer:
    choice = {"index": 0, "text": TEXT, "finish_reason": "stop", "logprobs": None}
    said = {"id": "1", "created": 1, "model": "gpt-3.5-turbo-instruct", "object": "text_completion"}
    return json_answer({**said, "choices": [choice], "usage": {**OPENAI_USAGE, "prompt_tokens_details": None}})


def _chat(body: dict[str, Any], model: str) -> Answer:
    said: dict[str, Any] = {"id": "1", "created": 1, "model": GPT}
    if not body.get("stream"):
        message = {"role": "assistant", "content": TEXT}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
        return json_answer({**said, "object": "chat.completion", "choices": [choice], "usage": OPENAI_USAGE})
    said["object"] = "chat.completion.chunk"
    piece = {"index": 0, "delta": {"role": "assistant", "content": TEXT}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events: list[Any] = [{**said, "choices": [choice], "usage": None} for choice in (piece, last)]
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append({**said, "choices": [], "usage": OPENAI_USAGE})
    if model == "error":
        events.insert(1, {"error": {"message": "a stand-in's error"}})
    return _events([*events, "[DONE]"], model)


def _responses(body: dict[str, Any], model: str) -> Answer:
    status = model if model in {"incomplete", "failed"} else "completed"
    text = {"type": "output_text", "text": TEXT, "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}
    response: dict[str, Any] = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": GPT,
        "status": status,
        "output": [message] if status == "completed" else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSES_USAGE,
    }
    if not body.get("stream"):
        return json_answer(response)
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    at = {"output_index": 0, "content_index": 0, "item_id": "m"}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    if status == "completed":
        empty = {**message, "status": "in_progress", "content": []}
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": empty},
            {"type": "response.content_part.added", **at, "part": {**text, "text": ""}},
            {"type": "response.output_text.delta", **at, "delta": TEXT, "logprobs": []},
        ]
    events.append({"type": f"response.{status}", "response": response})
    return _events([{**event, "sequence_number": n} for n, event in enumerate(events)], model, named=True)


def _compacted(_body: dict[str, Any], _model: str) -> Answer:
    said = {"id": "r", "object": "response.compaction", "created_at": 1, "output": []}
    return json_answer({**said, "usage": RESPONSES_USAGE})


def _messages(body: dict[str, Any], model: str) -> Answer:
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE,
        "stop_sequence": None,
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "usage": {**ANTHROPIC_USAGE, "output_tokens": 200},
    }
    if not body.get("stream"):
        return json_answer(message)
    start = {**message, "content": [], "stop_reason": None, "usage": {**ANTHROPIC_USAGE, "output_tokens": 1}}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    events: list[Any] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 90}},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 200}},
        {"type": "message_stop"},
    ]
    if model == "error":
        events.insert(1, {"type": "error", "error": {"type": "overloaded_error", "message": "a stand-in's error"}})
    return _events(events, model, named=True)


def _google(path: str, body: dict[str, Any]) -> Answer:
    if "mbedContent" in path:
        return json_answer({"embeddings": [{"values": [0.5]}], "embedding": {"values": [0.5]}})
    parts: list[dict[str, Any]] = [{"text": TEXT}]
    tools = body.get("tools") or []
    asked = [part for content in body.get("contents", []) for part in content.get("parts", [])]
    if tools and not any("functionResponse" in part for part in asked):
        declared = tools[0]["functionDeclarations"][0]["name"]
        parts = [{"functionCall": {"name": declared, "args": {}}}]
    content = {"role": "model", "parts": parts}
    piece = {"candidates": [{"content": content}], "usageMetadata": GOOGLE_USAGE, "modelVersion": GEMINI}
    model = path.rpartition("/")[2].partition(":")[0]
    if "stream" not in path:
        return json_answer(piece)
    begun = {**piece, "usageMetadata": {"promptTokenCount": 1000, "totalTokenCount": 1000}}
    return _events([begun, piece], model)


def _events(events: list[Any], model: str, *, named: bool = False) -> Answer:
    async def chunks() -> AsyncIterator[bytes]:
        for number, event in enumerate(events):
            if number == 1 and model == "hangs":
                await asyncio.sleep(HANGS_S)
            if number == 1 and model == "cut":
                raise ConnectionError("cut, as it was ordered")
            data = event if isinstance(event, str) else json.dumps(event)
            name = f"event: {event['type']}\n" if named else ""
            yield f"{name}data: {data}\n\n".encode()

    return Answer(200, headers={"Content-Type": "text/event-stream"}, chunks=chunks())
