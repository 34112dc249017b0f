"""Each captured client as something that makes calls, one after the other or many at once, on a wire of its kind.

Nothing of recost is imported here: the same calls are made with each product, each in its own virtual environment.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import repeat
from time import perf_counter_ns
from typing import Any, NamedTuple, Optional

from benchmarks import wires
from benchmarks.exchange import ASKED

STUBBED_URL = "http://api.openai.com/v1/chat/completions"
MANY = 1000
"""Connections that a pool may have: as many as calls are under way."""


class Client(NamedTuple):
    repeat: Callable[[int], list[int]]
    """Make so many calls, one after the other: what each took, ns."""
    together: Optional[Callable[[int], None]] = None
    """Make so many at once. None: it is synchronous."""


def open_client(name: str, loopback_url: Optional[str]) -> Client:
    """``loopback_url`` None: on a wire that answers by itself."""
    return CLIENTS[name](loopback_url)


def _urllib3(url: Optional[str]) -> Client:
    urllib3: Any = importlib.import_module("urllib3")
    pools = urllib3.PoolManager()
    if url is None:
        pools.pool_classes_by_scheme = {"http": _stubbed_pool(urllib3)}
    return _one_by_one(lambda: pools.request("POST", url or STUBBED_URL, body=ASKED))


def _requests(url: Optional[str]) -> Client:
    requests: Any = importlib.import_module("requests")
    session = requests.Session()
    session.trust_env = False
    if url is None:
        pools = session.get_adapter(STUBBED_URL).poolmanager
        pools.pool_classes_by_scheme = {"http": _stubbed_pool(importlib.import_module("urllib3"))}
    return _one_by_one(lambda: session.post(url or STUBBED_URL, data=ASKED))


def _stubbed_pool(urllib3: Any) -> Any:
    class StubbedConnection(urllib3.connection.HTTPConnection):  # type: ignore[misc]  # its base is found at run time
        is_connected = True  # else it polls the socket

        def _new_conn(self) -> wires.Socket:
            return wires.Socket()

    class StubbedPool(urllib3.HTTPConnectionPool):  # type: ignore[misc]  # the same
        ConnectionCls = StubbedConnection

    return StubbedPool


def _httpx(module_name: str, url: Optional[str]) -> Client:
    httpx: Any = importlib.import_module(module_name)
    client = httpx.Client(trust_env=False)
    if url is None:
        _connect_with(client, wires.Backend())
    return _one_by_one(lambda: client.post(url or STUBBED_URL, content=ASKED))


def _httpx_async(module_name: str, url: Optional[str]) -> Client:
    httpx: Any = importlib.import_module(module_name)
    delay = wires.Delay()
    client = httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=MANY))
    if url is None:
        _connect_with(client, wires.AsyncBackend(delay))
    return _asynchronous(asyncio.new_event_loop(), lambda: client.post(url or STUBBED_URL, content=ASKED), delay)


def _connect_with(client: Any, backend: object) -> None:
    client._transport._pool._network_backend = backend  # noqa: SLF001 - httpx has no public way to its pool


def _aiohttp(url: Optional[str]) -> Client:
    aiohttp: Any = importlib.import_module("aiohttp")
    loop, delay = asyncio.new_event_loop(), wires.Delay()

    class StubbedConnector(aiohttp.TCPConnector):  # type: ignore[misc]  # its base is found at run time
        async def _create_connection(self, *_args: object) -> Any:
            protocol = self._factory()
            protocol.connection_made(wires.Transport(protocol, loop, delay))
            return protocol

    async def open_session() -> Any:
        kind = StubbedConnector if url is None else aiohttp.TCPConnector
        return aiohttp.ClientSession(connector=kind(limit=MANY))

    session = loop.run_until_complete(open_session())

    async def post() -> None:
        async with session.post(url or STUBBED_URL, data=ASKED) as response:
            await response.read()

    return _asynchronous(loop, post, delay)


def _one_by_one(call: Callable[[], object]) -> Client:
    def run(times: int) -> list[int]:
        took_ns = []
        for _ in repeat(None, times):
            began_ns = perf_counter_ns()
            call()
            took_ns.append(perf_counter_ns() - began_ns)
        return took_ns

    return Client(run)


def _asynchronous(loop: asyncio.AbstractEventLoop, call: Callable[[], Awaitable[object]], delay: wires.Delay) -> Client:
    async def one_by_one(times: int) -> list[int]:
        took_ns = []
        for _ in repeat(None, times):
            began_ns = perf_counter_ns()
            await call()
            took_ns.append(perf_counter_ns() - began_ns)
        return took_ns

    async def at_once(times: int) -> None:
        delay.seconds = wires.TOGETHER_S
        await asyncio.gather(*(call() for _ in range(times)))
        delay.seconds = 0.0

    return Client(
        lambda times: loop.run_until_complete(one_by_one(times)),
        lambda times: loop.run_until_complete(at_once(times)),
    )


CLIENTS: dict[str, Callable[[Optional[str]], Client]] = {
    "requests": _requests,
    "httpx": partial(_httpx, "httpx"),
    "httpx async": partial(_httpx_async, "httpx"),
    "httpx2": partial(_httpx, "httpx2"),
    "httpx2 async": partial(_httpx_async, "httpx2"),
    "aiohttp": _aiohttp,
    "urllib3": _urllib3,
}
"""urllib3 last: see ``products.Product.also``."""
