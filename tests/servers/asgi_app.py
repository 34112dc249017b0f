"""An ASGI application: each request makes one call with the client that its path names, and answers with its pid."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, MutableMapping
from typing import Any, Callable

import aiohttp
import httpx

import recost

recost.init()

API = os.environ["API_URL"]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@functools.lru_cache(maxsize=1)
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=None, limits=httpx.Limits(max_keepalive_connections=0))


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    url = f"{API}{scope['path']}?pid={os.getpid()}"
    if scope["path"] == "/aiohttp":
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 200
    else:
        assert (await client().get(url)).status_code == 200
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


async def live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await client().aclose()
    await send({"type": "lifespan.shutdown.complete"})
