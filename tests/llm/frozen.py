"""A copy of the rows of the price table that tests need, and usages in the shapes of the three makers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FROZEN = Path(__file__).with_name("frozen_prices.json").read_bytes()
MILLION = 1_000_000


def chat(tokens_in: int, tokens_out: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out, **more}


def messages(tokens_in: int, tokens_out: int, **more: Any) -> dict[str, Any]:
    return {"input_tokens": tokens_in, "output_tokens": tokens_out, **more}


def gemini(tokens_in: int, tokens_out: int, **more: Any) -> dict[str, Any]:
    return {"prompt_token_count": tokens_in, "candidates_token_count": tokens_out, **more}
