"""What workers call, as records of a ring: payloads in an order that looks like traffic and is the same each time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from benchmarks.traffic import TARGETS
from recost.event import CallEvent, LlmEvent, encode

RECORDS = 6000
"""Of each mix; taken round and round."""
AT_NS = 1_790_000_000_000_000_000
WORDS = ("orders", "users", "carts", "mail", "files", "search", "quotes", "refunds", "labels", "events")
MODELS = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-3-5-sonnet-20241022"),
    ("anthropic", "claude-3-5-haiku-20241022"),
    ("google", "gemini-1.5-pro"),
    ("google", "gemini-1.5-flash"),
)
FEATURES = ("", "chat", "summary", "search")

Endpoint = tuple[str, str]


def payloads(mix: str) -> list[bytes]:
    """The records of one of ``MIXES``."""
    return list(itertools.islice(MIXES[mix](random.Random(0)), RECORDS))


def _few(chance: random.Random) -> Iterator[bytes]:
    """Hosts with and without a rule, some called much more than others."""
    others = [(f"{word}.internal.example", f"/v1/{word}/4711") for word in WORDS]
    partners = [(f"api.{word}.example", f"/{word}/list") for word in WORDS]
    yield from _calls([*TARGETS, *others, *partners, ("api.github.com", "/repos"), ("wttr.in", "/")], chance)


def _many(chance: random.Random) -> Iterator[bytes]:
    """Twenty hosts with a hundred paths each."""
    hosts = [f"{word}{side}.internal.example" for word in WORDS for side in ("", "-eu")]
    paths = [f"/v1/{one}/{other}" for one in WORDS for other in WORDS]
    yield from _calls(list(itertools.product(hosts, paths)), chance, skew=0.3)


def _llm(chance: random.Random) -> Iterator[bytes]:
    """Each LLM call is two records: the HTTP call that carried it, and what it used."""
    host, path = TARGETS[0]
    while True:
        provider, model = chance.choice(MODELS)
        tag, took_ns = chance.choice(FEATURES), chance.randrange(300_000_000, 9_000_000_000)
        yield encode(CallEvent(AT_NS, took_ns, "POST", "https", host, path, 200, 900, 4200, tag, True))
        asked, answered = chance.randrange(50, 4000), chance.randrange(10, 900)
        yield encode(
            LlmEvent(
                AT_NS,
                took_ns,
                provider,
                model,
                asked,
                answered,
                0,
                asked * 2_500_000,
                tag=tag,
                method="POST",
                netloc=host,
                path=path,
                ending="completed",
            )
        )


def _calls(endpoints: list[Endpoint], chance: random.Random, skew: float = 1.0) -> Iterator[bytes]:
    weights = [1 / (at + 1) ** skew for at in range(len(endpoints))]
    while True:
        for host, path in chance.choices(endpoints, weights, k=1000):
            status = 500 if chance.random() < 0.01 else 200
            took_ns = int(chance.lognormvariate(18.0, 0.8))
            method = chance.choice(("GET", "POST", "POST"))
            yield encode(CallEvent(AT_NS, took_ns, method, "https", host, path, status, 900, 4200))


MIXES = {"30 endpoints": _few, "2,000 endpoints": _many, "LLM calls": _llm}
