"""openai 1.x to 3.x: chat, completions, Responses, embeddings, and every compatible server behind the same client."""

from __future__ import annotations

from typing import Any

from recost.llm.call_tags import DEFAULT_TAG
from recost.llm.calls import LlmCall
from recost.llm.patching import patch, unpatch
from recost.llm.sdk import Sdk

PATHS = frozenset({"/chat/completions", "/completions", "/embeddings", "/responses", "/responses/compact"})


def patch_openai(default_feature_tag: str = DEFAULT_TAG, *, inject_stream_usage: bool = False) -> None:
    """Count every LLM call of the openai package at its true cost, sync and async, whichever way it is called.

    May come before or after ``import openai`` and ``recost.init()``; called again, the new settings count.  A call's
    own tag goes in as ``extra_body={"recost_feature_tag": "…"}`` and is not sent.  A chat stream says what it used
    only when asked: ``inject_stream_usage`` asks where the caller has not, and hides the extra chunk.  ``ImportError``
    without the package.  Do not ``track()`` the same calls.
    """
    patch(OPENAI, default_feature_tag)
    OPENAI.inject_stream_usage = inject_stream_usage


def unpatch_openai() -> None:
    """Undo ``patch_openai``."""
    unpatch(OPENAI)


def _read(call: LlmCall, data: dict[str, Any]) -> None:
    """A response, a chunk of chat, or an event of Responses: its last ones carry the response."""
    inner = data.get("response")
    said = inner if isinstance(inner, dict) else data
    call.read(said.get("usage"), said.get("model"), said.get("service_tier"))
    call.failed_inside = call.failed_inside or said.get("status") == "failed"
    if call.awaits_token and (str(data.get("type", "")).endswith(".delta") or _has_content(data.get("choices"))):
        call.token()


def _has_content(choices: object) -> bool:
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return False
    delta = choices[0].get("delta")
    return bool(
        choices[0].get("text") or (isinstance(delta, dict) and (delta.get("content") or delta.get("tool_calls")))
    )


OPENAI = Sdk("openai", PATHS, _read)
