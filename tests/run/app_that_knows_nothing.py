"""A WSGI and an ASGI application: each request makes one call, and is answered with the worker's pid."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpx
import urllib3

API = os.environ["API_URL"]

Send = Callable[[dict[str, Any]], Awaitable[None]]


def wsgi(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    assert urllib3.PoolManager().request("GET", f"{API}/wsgi", timeout=20).status == 200
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


async def asgi(scope: dict[str, Any], receive: object, send: Send) -> None:
    assert scope["type"] == "http"
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{API}/asgi")).status_code == 200
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
