"""While the middleware waits for the last delivery, the event loop turns."""

from __future__ import annotations

import asyncio
import time

import starlette.applications

from recost.frameworks.fastapi import RecostMiddleware
from tests.frameworks.test_starting import lifespan
from tests.harness import run_child
from tests.processes.support import Api, call

TIMEOUT_S = 1.0


def test_the_end_of_the_lifespan_blocks_no_event_loop(api: Api):
    """A service that never answers costs the timeout, not a second more, and other tasks run meanwhile."""

    def child():
        asyncio.run(end_while_others_run(api))

    assert run_child(child) == 0


async def end_while_others_run(api: Api) -> None:
    middleware = RecostMiddleware(
        starlette.applications.Starlette(),
        api_key="rc-a-key",
        project_id="shop",
        base_url="http://127.0.0.3:9",
        collector="external",  # there is none: nobody answers
        shutdown_flush_timeout_ms=int(1000 * TIMEOUT_S),
        auto_shutdown_handlers=False,
    )
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    def one_call() -> bool:
        call(api.url)
        return True

    others = asyncio.create_task(turn())
    began = time.monotonic()
    await lifespan(middleware, during=one_call)
    took_s = time.monotonic() - began
    others.cancel()
    print(f"took_s={took_s:.2f} turns={turns}")
    assert took_s >= TIMEOUT_S * 0.9
    assert turns > 10  # a blocked loop turns once or twice
