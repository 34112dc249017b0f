"""What ``debug`` shows on stderr, on the thread that made the call."""

from __future__ import annotations

import sys

from recost.event import NS_PER_MS, PICO_USD_PER_USD, CallEvent, LlmEvent


def tell_llm(event: LlmEvent) -> None:
    """One line for one LLM call, with ``debug``."""
    cost = f"${event.cost_pico_usd / PICO_USD_PER_USD:.6f}" if event.is_priced else "unpriced"
    tokens = f"{event.prompt_tokens} + {event.completion_tokens} tokens"
    name = f"{event.provider} {event.model}"
    sys.stderr.write(f"[recost] LLM {name} {tokens} {cost} {event.duration_ns / NS_PER_MS:.1f} ms\n")


def tell_call(event: CallEvent) -> None:
    """One line for one captured call, with ``debug``."""
    url = f"{event.scheme}://{event.netloc}{event.path}"
    sys.stderr.write(f"[recost] {event.method} {url} {event.status} {event.duration_ns / NS_PER_MS:.1f} ms\n")
