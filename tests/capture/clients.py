"""Each captured client as a plain function, for what must hold for all of them alike."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any, Callable, Optional

import aiohttp
import pytest
import requests
import urllib3

TIMEOUT_S = 20.0

Ask = Callable[..., int]


def ask_urllib3(method: str, url: str, body: Any = None, timeout_s: float = TIMEOUT_S) -> int:
    with urllib3.PoolManager(retries=False) as pools:
        return int(pools.request(method, url, body=body, timeout=timeout_s, redirect=False).status)


def ask_requests(method: str, url: str, body: Any = None, timeout_s: float = TIMEOUT_S) -> int:
    with requests.Session() as session:
        return session.request(method, url, data=body, timeout=timeout_s, allow_redirects=False).status_code


def ask_httpx(module: Any, method: str, url: str, body: Any, timeout_s: float) -> int:
    with module.Client(timeout=timeout_s) as client:
        return int(client.request(method, url, content=body).status_code)


async def ask_httpx_async(module: Any, method: str, url: str, body: Any, timeout_s: float) -> int:
    async with module.AsyncClient(timeout=timeout_s) as client:
        return int((await client.request(method, url, content=body)).status_code)


async def ask_aiohttp(method: str, url: str, body: Any, timeout_s: float) -> int:
    limit = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession(timeout=limit) as session:
        async with session.request(method, url, data=body, allow_redirects=False) as response:
            await response.read()
            return response.status


def ask(client: str, method: str, url: str, body: Any = None, timeout_s: float = TIMEOUT_S) -> int:
    """Make one call with ``client``, a name from ``ALL``, and give its status."""
    name, _, is_async = client.partition("-")
    if name == "urllib3":
        return ask_urllib3(method, url, body, timeout_s)
    if name == "requests":
        return ask_requests(method, url, body, timeout_s)
    if name == "aiohttp":
        return asyncio.run(ask_aiohttp(method, url, body, timeout_s))
    module = importlib.import_module(name)
    if is_async:
        return asyncio.run(ask_httpx_async(module, method, url, body, timeout_s))
    return ask_httpx(module, method, url, body, timeout_s)


def installed(name: str) -> Optional[Any]:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


HTTPX = [
    pytest.param(name, marks=pytest.mark.skipif(installed(name) is None, reason=f"{name} is not installed"))
    for name in ("httpx", "httpx2")
]

ALL = [
    pytest.param(name, marks=pytest.mark.skipif(installed(name.partition("-")[0]) is None, reason="not installed"))
    for name in ("urllib3", "requests", "httpx", "httpx-async", "httpx2", "httpx2-async", "aiohttp")
]

ASYNC = [param for param in ALL if param.values[0] not in {"urllib3", "requests", "httpx", "httpx2"}]
