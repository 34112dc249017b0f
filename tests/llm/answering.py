"""A provider on loopback that answers as OpenAI, Anthropic and Google do, and what recost has of the calls to it."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, NamedTuple, Optional

import pytest

import recost
from examples.standins import llm
from examples.standins.server import Answer, Request, StandIn, json_answer
from recost import _runtime
from recost._capture import fault_count
from recost.event import CallEvent, Event, LlmEvent, decode
from recost.ring.layout import seed_of
from recost.ring.reader import Reader
from tests.collector.collecting import delivered

HOST = "127.0.0.2"


class Style(NamedTuple):
    """One way to call an SDK, and what comes of it."""

    name: str
    run: Callable[..., Any]
    ending: str = "completed"
    usd: Optional[float] = None
    """None: what it cost is not known."""
    events: int = 1
    needs: str = ""
    """A path below the client; where a version of the SDK lacks it there is nothing to try."""
    statuses: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.name

    def require(self, client: object) -> None:
        """Skip where this version of the SDK does not have what is needed."""
        try:
            operator.attrgetter(self.needs or "__class__")(client)
        except AttributeError:
            pytest.skip("not in this version")


class Watched:
    """The stand-in, and what this process has put into its own ring: no collector takes part."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: list[dict[str, Any]] = []
        """The bodies, in order."""
        self.statuses: list[int] = []
        """To answer the next requests with, then 200."""
        self._reader: Optional[Reader] = None

    def events(self) -> list[Event]:
        """Since the last time."""
        runtime = _runtime.current
        if runtime is None or runtime.ring is None:
            return []
        if self._reader is None:
            ring = runtime.ring
            self._reader = Reader(ring.words, ring.data, seed_of(ring.header.ring_id))
        return [decode(payload) for payload in self._reader.drain(1 << 20)]

    def llm_events(self) -> list[LlmEvent]:
        return [event for event in self.events() if isinstance(event, LlmEvent)]


@contextmanager
def watched(provider: str) -> Iterator[Watched]:
    """Calls to the stand-in are those of the provider called ``provider``; no fault of ours comes up."""
    faults = fault_count()
    with _stand_in() as found, recost.init(**_settings(provider), collector="external", shutdown_flush_timeout_ms=0):
        recost.track("x", "x", 0, 0, 0.0, 0.0)  # makes the ring now: a fixture's is not to be in a test's folder
        found.events()
        yield found
    assert fault_count() == faults


@contextmanager
def accounted(provider: str, **settings: Any) -> Iterator[Watched]:
    """The same with a collector: what it makes of the calls is in ``account()`` afterwards."""
    with _stand_in() as found, recost.init(**{**_settings(provider), "collector": "thread", **settings}):
        yield found
        assert recost.flush(30)


def check(style: Style, found: Watched, run: Callable[[], Any]) -> None:
    """``run`` makes one LLM call: one event of it is in the ring, and all HTTP calls are marked as part of it."""
    found.events()
    found.statuses[:] = style.statuses
    run()
    events = found.events()
    calls = [event for event in events if isinstance(event, LlmEvent)]
    assert [event.ending for event in calls] == [style.ending] * style.events
    usd = [event.cost_pico_usd / 1e12 if event.is_priced else None for event in calls]
    assert usd == [style.usd] * style.events
    assert [event.error for event in calls] == [style.ending in {"failed", "cancelled"}] * style.events
    assert all(event.duration_ns > 0 for event in calls)
    http = [event.is_llm for event in events if isinstance(event, CallEvent)]
    assert http == [style.events > 0] * len(http)
    assert http


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


@contextmanager
def _stand_in() -> Iterator[Watched]:
    async def answer(request: Request) -> Answer:
        body = json.loads(request.body) if request.body.startswith(b"{") else {}  # else the form of a file
        found.sent.append(body)
        status = found.statuses.pop(0) if found.statuses else 200
        if status >= 400:
            return json_answer({"error": {"message": "a stand-in's error", "type": "x"}}, status, {"Retry-After": "0"})
        answered = await llm.answer(request.path, body)
        return answered or json_answer({"object": "list", "data": [], "input_tokens": 5, "id": "r", "output": []})

    found = Watched("")
    with StandIn(answer, [(HOST, 0)]) as server:
        host, port = server.addresses[0]
        found.url = f"http://{host}:{port}"
        yield found


def _settings(provider: str) -> Any:
    rule = recost.ProviderDef(HOST, provider, endpoint_category="llm", cost_per_request_cents=2.0)
    return {"project_id": "shop", "custom_providers": [rule]}
