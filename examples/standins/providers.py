"""A few API providers on loopback: an address each, latencies, errors and bodies like the real ones.

Which answer a call gets is decided, and counted, when its request has arrived: before the latency, so a call
whose client is killed while it waits is in the counts.  ``GET /__counts`` on any address gives them as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Optional

from examples.standins import llm
from examples.standins.server import Answer, Request, StandIn, json_answer

COUNTS_PATH = "/__counts"
CHUNKS = 6
_LATENCY_SPREAD = 0.35
_LEAST_MS, _MOST_MS = 5.0, 80.0


class Endpoint(NamedTuple):
    """Requests whose path starts with ``prefix`` and, where it is given, contains ``part``."""

    prefix: str
    latency_ms: float
    """The median; the distribution is log-normal."""
    body_bytes: int
    style: str = "whole"
    """``whole``, ``chunked``, or ``sse``: whole, unless the request's JSON asks for a stream."""
    part: str = ""


class Provider(NamedTuple):
    """One stand-in and the real host that it stands for."""

    name: str
    host: str
    real_host: str
    endpoints: tuple[Endpoint, ...]


PROVIDERS = (
    Provider(
        "openai",
        "127.0.0.2",
        "api.openai.com",
        (Endpoint("/v1/chat/completions", 45, 900, "sse"), Endpoint("/v1/embeddings", 15, 6000)),
    ),
    Provider("anthropic", "127.0.0.3", "api.anthropic.com", (Endpoint("/v1/messages", 50, 1100, "sse"),)),
    Provider(
        "stripe",
        "127.0.0.4",
        "api.stripe.com",
        (Endpoint("/v1/charges", 25, 1500), Endpoint("/v1/customers", 15, 800)),
    ),
    Provider(
        "twilio",
        "127.0.0.5",
        "api.twilio.com",
        (
            Endpoint("/2010-04-01/Accounts", 20, 700, part="/Messages"),
            Endpoint("/2010-04-01/Accounts", 20, 700, part="/Calls"),
        ),
    ),
    Provider(
        "github",
        "127.0.0.6",
        "api.github.com",
        (
            Endpoint("/repos", 12, 5000, "chunked"),
            Endpoint("/users", 8, 1300),
            Endpoint("/search", 30, 9000, "chunked"),
        ),
    ),
)
LLMS = ("openai", "anthropic")
"""They answer whole where they are asked for a model, and say what was used."""
_ERRORS = {"openai": (429, 500, 503), "anthropic": (429, 529), "stripe": (402, 500), "twilio": (400, 503)}


class ProviderStandIn(StandIn):
    """All ``providers``, an address each. ``seed`` makes latencies and errors repeatable for the same order of calls.

    ``error_rate``: the share of calls that get a 4xx or 5xx; ``latency_scale``: 0 answers at once.
    """

    def __init__(
        self,
        providers: tuple[Provider, ...] = PROVIDERS,
        *,
        port: int = 0,
        error_rate: float = 0.03,
        latency_scale: float = 1.0,
        seed: int = 1,
    ) -> None:
        super().__init__(self._answer, [(provider.host, port) for provider in providers])
        self._providers = providers
        self._error_rate = error_rate
        self._latency_scale = latency_scale
        self._random = random.Random(seed)
        # Only the server's thread writes; a Counter's copy is one step for every other.
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def url(self, name: str) -> str:
        """``http://host:port`` of the provider called ``name``."""
        for provider, (host, port) in zip(self._providers, self.addresses):
            if provider.name == name:
                return f"http://{host}:{port}"
        raise KeyError(name)

    def urls(self) -> dict[str, str]:
        return {provider.name: self.url(provider.name) for provider in self._providers}

    def counts(self) -> dict[tuple[str, str, int], int]:
        """How many requests arrived, by provider, path and the status that they got or were about to get."""
        return dict(self._counts)

    def total(self) -> int:
        return sum(self.counts().values())

    async def _answer(self, request: Request) -> Answer:
        if request.path == COUNTS_PATH:
            rows = sorted(self._counts.items())
            return json_answer([dict(zip(("provider", "path", "status", "count"), (*key, n))) for key, n in rows])
        provider = self._provider_at(request.address)
        endpoint = _endpoint(provider, request.path)
        status = self._status(provider, endpoint)
        self._counts[provider.name, request.path, status] += 1
        if endpoint is None or status >= 400:
            await asyncio.sleep(self._latency_s(_LEAST_MS))
            return json_answer({"error": {"code": status, "message": "a stand-in's error"}}, status)
        latency_s = self._latency_s(endpoint.latency_ms)
        answered = await llm.answer(request.path, _json(request.body)) if provider.name in LLMS else None
        if answered is not None:
            await asyncio.sleep(latency_s)
            return answered
        if endpoint.style == "chunked" or (endpoint.style == "sse" and _wants_stream(request.body)):
            await asyncio.sleep(latency_s / 2)  # before the headers, the other half between the pieces
            return _streamed(endpoint, latency_s / 2)
        await asyncio.sleep(latency_s)
        return Answer(200, _filler(endpoint.body_bytes), {"Content-Type": "application/json"})

    def _provider_at(self, address: tuple[str, int]) -> Provider:
        return self._providers[self.addresses.index(address)]

    def _status(self, provider: Provider, endpoint: Optional[Endpoint]) -> int:
        if endpoint is None:
            return 404
        if self._random.random() < self._error_rate:
            return self._random.choice(_ERRORS.get(provider.name, (500, 502)))
        return 200

    def _latency_s(self, median_ms: float) -> float:
        latency_ms = median_ms * self._random.lognormvariate(0, _LATENCY_SPREAD)
        return min(max(latency_ms, _LEAST_MS), _MOST_MS) / 1000 * self._latency_scale


def _endpoint(provider: Provider, path: str) -> Optional[Endpoint]:
    for endpoint in provider.endpoints:
        if path.startswith(endpoint.prefix) and endpoint.part in path:
            return endpoint
    return None


def _wants_stream(body: bytes) -> bool:
    return bool(_json(body).get("stream"))


def _json(body: bytes) -> dict[str, Any]:
    """The request's object; empty for what is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _streamed(endpoint: Endpoint, latency_s: float) -> Answer:
    kind = "text/event-stream" if endpoint.style == "sse" else "application/json"
    pieces = _events(endpoint) if endpoint.style == "sse" else _pieces(endpoint)
    return Answer(200, headers={"Content-Type": kind}, chunks=_paced(pieces, latency_s))


async def _paced(pieces: list[bytes], latency_s: float) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(latency_s / len(pieces))


def _events(endpoint: Endpoint) -> list[bytes]:
    size = endpoint.body_bytes // CHUNKS
    return [b'data: {"delta": %s}\n\n' % _filler(size) for _ in range(CHUNKS)] + [b"data: [DONE]\n\n"]


def _pieces(endpoint: Endpoint) -> list[bytes]:
    body = _filler(endpoint.body_bytes)
    size = -(-len(body) // CHUNKS)
    return [body[at : at + size] for at in range(0, len(body), size)]


def _filler(size: int) -> bytes:
    """JSON of ``size`` bytes."""
    return b'{"content": "%s"}' % (b"x" * max(0, size - 15))
