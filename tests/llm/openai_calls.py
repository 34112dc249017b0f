"""What the tests of openai call, and what it costs."""

from __future__ import annotations

from typing import Any

import openai

from tests.llm.answering import Watched

MESSAGES: Any = [{"role": "user", "content": "q"}]
CHAT: Any = {"model": "gpt-4o", "messages": MESSAGES}
STREAM: Any = {**CHAT, "stream": True}
ASKED: Any = {**STREAM, "stream_options": {"include_usage": True}}
INPUT: Any = {"model": "gpt-4o", "input": "q"}
USD = 0.0065
"""1000 in, of them 800 cached, 500 out."""
ESTIMATE_USD = 0.02


def settings(found: Watched) -> Any:
    return {"api_key": "x", "base_url": f"{found.url}/v1", "max_retries": 2}


def client_of(found: Watched) -> openai.OpenAI:
    return openai.OpenAI(**settings(found))


def helper(client: Any) -> Any:
    chat = client.chat.completions if hasattr(client.chat.completions, "stream") else client.beta.chat.completions
    return chat.stream(**CHAT, stream_options={"include_usage": True})


def create(arguments: Any) -> Any:
    return lambda client: client.chat.completions.create(**arguments)
