"""anthropic from 0.30: messages and their beta, plain, streamed and raw."""

from __future__ import annotations

from typing import Any

from recost.llm.call_tags import DEFAULT_TAG
from recost.llm.calls import LlmCall
from recost.llm.patching import patch, unpatch
from recost.llm.sdk import Sdk

PATHS = frozenset({"/v1/messages", "/v1/complete"})


def patch_anthropic(default_feature_tag: str = DEFAULT_TAG) -> None:
    """Count every message of the anthropic package at its true cost, sync and async, whichever way it is called.

    May come before or after ``import anthropic`` and ``recost.init()``; called again, the new tag counts.  A call's own
    tag goes in as ``extra_body={"recost_feature_tag": "…"}`` and is not sent.  ``ImportError`` without the package.  Do
    not ``track()`` the same calls.
    """
    patch(ANTHROPIC, default_feature_tag)


def unpatch_anthropic() -> None:
    """Undo ``patch_anthropic``."""
    unpatch(ANTHROPIC)


def _read(call: LlmCall, data: dict[str, Any]) -> None:
    """A message, or an event of a stream: the first has the message, later ones what was used so far, over again."""
    kind, message, usage = data.get("type"), data.get("message"), data.get("usage")
    if kind == "message_start" and isinstance(message, dict):
        call.read(message.get("usage"), message.get("model"), None)
    elif kind == "message_delta" and isinstance(usage, dict):
        call.add_usage(usage)
    elif kind == "content_block_delta":
        call.token()
    elif usage is not None:
        call.read(usage, data.get("model"), None)


ANTHROPIC = Sdk("anthropic", PATHS, _read)
