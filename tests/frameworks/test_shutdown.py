"""While the middleware waits for the last delivery, the event loop turns."""

from __future__ import annotations

import asyncio

import pytest
import starlette.applications

from recost import _runtime
from recost.frameworks.fastapi import RecostMiddleware
from recost.ring.files import RingFile
from recost.ring.layout import FLUSHED_THROUGH, FLUSHES, FLUSHES_DONE, TAIL
from tests.frameworks.lifespan import lifespan
from tests.harness import run_child
from tests.processes.support import Api, call


def make_middleware(timeout_ms: int) -> RecostMiddleware:
    return RecostMiddleware(
        starlette.applications.Starlette(),
        api_key="rc-a-key",
        project_id="shop",
        base_url="http://127.0.0.3:9",
        collector="external",  # there is none
        shutdown_flush_timeout_ms=timeout_ms,
        auto_shutdown_handlers=False,
    )


def one_call(api: Api) -> bool:
    call(api.url)
    return True


def test_the_end_of_the_lifespan_blocks_no_event_loop(api: Api):
    """The wait is ended by another task of the same loop: were that held up, nobody would."""
    rings: list[RingFile] = []

    def call_and_keep_ring() -> bool:
        one_call(api)
        assert _runtime.current is not None
        assert _runtime.current.ring is not None
        rings.append(_runtime.current.ring)
        return True

    async def collect() -> None:
        """What a collector writes into the ring when it has delivered what it was asked for."""
        while not any(ring.words[FLUSHES] for ring in rings):  # noqa: ASYNC110 - it is memory, not an event
            await asyncio.sleep(0.01)
        (ring,) = rings
        ring.words[FLUSHED_THROUGH] = ring.words[TAIL]
        ring.words[FLUSHES_DONE] = ring.words[FLUSHES]

    async def live() -> None:
        collecting = asyncio.create_task(collect())
        await lifespan(make_middleware(timeout_ms=600_000), during=call_and_keep_ring)
        assert collecting.done()

    assert run_child(lambda: asyncio.run(live())) == 0


def test_the_end_of_the_lifespan_waits_no_longer_than_configured(api: Api, monkeypatch: pytest.MonkeyPatch):
    """For a service that never answers."""
    monkeypatch.setenv("RECOST_SHUTDOWN_FLUSH_TIMEOUT_MS", "600000")

    def child():
        asyncio.run(lifespan(make_middleware(timeout_ms=300), during=lambda: one_call(api)))

    assert run_child(child) == 0
