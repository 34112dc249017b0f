"""Each captured client as something that makes ``times`` calls and says what one cost this thread, in us of CPU.

httpx and httpx2 send through a transport that answers by itself; the others have none and use a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from itertools import repeat
from typing import Any

import aiohttp
import requests
import urllib3

from benchmarks.measure import NS_PER_US, cpu_us
from benchmarks.server import BODY

URL = "https://api.openai.com/v1/chat/completions"
ASKED = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say this is a test."}]}'

Calls = Callable[[int], float]
Client = Callable[[str], AbstractContextManager[Calls]]


@contextlib.contextmanager
def _urllib3(url: str) -> Iterator[Calls]:
    with urllib3.PoolManager() as pools:
        yield lambda times: cpu_us(lambda: pools.request("POST", url, body=ASKED), times)


@contextlib.contextmanager
def _requests(url: str) -> Iterator[Calls]:
    with requests.Session() as session:
        session.trust_env = False
        yield lambda times: cpu_us(lambda: session.post(url, data=ASKED), times)


@contextlib.contextmanager
def _sync(module_name: str) -> Iterator[Calls]:
    httpx = importlib.import_module(module_name)
    with httpx.Client(transport=_transport(httpx)) as client:
        yield lambda times: cpu_us(lambda: client.post(URL, content=ASKED), times)


@contextlib.contextmanager
def _async(module_name: str) -> Iterator[Calls]:
    httpx = importlib.import_module(module_name)
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        client = httpx.AsyncClient(transport=_transport(httpx))
        yield lambda times: loop.run_until_complete(_cpu_us(lambda: client.post(URL, content=ASKED), times))
        loop.run_until_complete(client.aclose())


@contextlib.contextmanager
def _aiohttp(url: str) -> Iterator[Calls]:
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        session = loop.run_until_complete(_open_session())
        yield lambda times: loop.run_until_complete(_cpu_us(lambda: _post(session, url), times))
        loop.run_until_complete(session.close())


async def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


async def _post(session: aiohttp.ClientSession, url: str) -> None:
    async with session.post(url, data=ASKED) as response:
        await response.read()


def _transport(httpx: Any) -> Any:
    return httpx.MockTransport(lambda _request: httpx.Response(200, content=BODY))


async def _cpu_us(call: Callable[[], Awaitable[object]], times: int) -> float:
    started_ns = time.thread_time_ns()
    for _ in repeat(None, times):
        await call()
    return (time.thread_time_ns() - started_ns) / times / NS_PER_US


CLIENTS: dict[str, Client] = {
    "urllib3": _urllib3,
    "requests": _requests,
    "httpx": lambda _url: _sync("httpx"),
    "httpx async": lambda _url: _async("httpx"),
    "httpx2": lambda _url: _sync("httpx2"),
    "httpx2 async": lambda _url: _async("httpx2"),
    "aiohttp": _aiohttp,
}
