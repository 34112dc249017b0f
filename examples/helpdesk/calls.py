"""The calls that the help desk makes, a function for each, the way a program usually makes it: nothing knows of recost.

LLMs are called with bare HTTP clients and with their own SDKs: of the latter recost tells the true cost.  The sync
clients are one per process and keep connections alive.  They are made before a preloading server forks, and connect
only after it.  Async clients belong to the event loop of one web request.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator

import aiohttp
import anthropic
import httpx
import httpx2
import openai
import requests
import urllib3

from examples.helpdesk.providers import ACCOUNT, base_urls
from examples.helpdesk.under_way import under_way

TIMEOUT_S = 20
MODEL = "a-small-model"

_urls = base_urls()
_tls = ssl.create_default_context()  # once, for reading the certificates takes longer than a call
_session = requests.Session()
_pool = urllib3.PoolManager(maxsize=8)
_httpx = httpx.Client(timeout=TIMEOUT_S, verify=_tls)
_httpx2 = httpx2.Client(timeout=TIMEOUT_S, verify=_tls)
_openai = openai.OpenAI(api_key="stand-in", base_url=f"{_urls['openai']}/v1", timeout=TIMEOUT_S, max_retries=0)
_anthropic = anthropic.Anthropic(api_key="stand-in", base_url=_urls["anthropic"], timeout=TIMEOUT_S, max_retries=0)


@contextlib.contextmanager
def call(provider: str, path: str) -> Iterator[str]:
    """The URL to call, noted as under way until the block ends."""
    with under_way(provider, path):
        yield _urls[provider] + path


def add_customer(email: str) -> int:
    """requests, a form."""
    with call("stripe", "/v1/customers") as url:
        return _session.post(url, data={"email": email}, timeout=TIMEOUT_S).status_code


def charge(cents: int) -> int:
    with call("stripe", "/v1/charges") as url:
        return _session.post(url, data={"amount": cents, "currency": "eur"}, timeout=TIMEOUT_S).status_code


def search_code(words: str) -> int:
    """requests, an answer in chunks."""
    with call("github", "/search/code") as url:
        return _session.get(url, params={"q": words}, timeout=TIMEOUT_S).status_code


def send_sms(text: str) -> int:
    """urllib3."""
    with call("twilio", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json") as url:
        return _pool.request("POST", url, fields={"Body": text}, timeout=TIMEOUT_S).status


def ring_up() -> int:
    with call("twilio", f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json") as url:
        return _pool.request("POST", url, fields={"Url": "https://shop.example/voice"}, timeout=TIMEOUT_S).status


def open_chat(question: str) -> httpx.Response:
    """httpx, a streamed answer: the caller reads and closes it."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": question}], "stream": True}
    with call("openai", "/v1/chat/completions") as url:
        return _httpx.send(_httpx.build_request("POST", url, json=body), stream=True)


def write_summary(text: str) -> int:
    """httpx2."""
    with call("anthropic", "/v1/messages") as url:
        return _httpx2.post(url, json=_message(text)).status_code


def advise(question: str) -> int:
    """OpenAI's SDK."""
    with call("openai", "/v1/chat/completions"):
        try:
            _openai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": question}])
        except openai.APIStatusError as refused:
            return refused.status_code
    return 200


def translate(text: str) -> int:
    """Anthropic's SDK, a streamed answer."""
    with call("anthropic", "/v1/messages"):
        try:
            with _anthropic.messages.stream(
                model="claude-sonnet-4-5", max_tokens=200, messages=[{"role": "user", "content": text}]
            ) as stream:
                stream.until_done()
        except anthropic.APIStatusError as refused:
            return refused.status_code
    return 200


async def embed(text: str) -> int:
    """httpx, async."""
    async with httpx.AsyncClient(timeout=TIMEOUT_S, verify=_tls) as client:
        with call("openai", "/v1/embeddings") as url:
            return (await client.post(url, json={"model": MODEL, "input": text})).status_code


async def stream_summary(text: str) -> int:
    """httpx2, async, a streamed answer."""
    async with httpx2.AsyncClient(timeout=TIMEOUT_S, verify=_tls) as client:
        with call("anthropic", "/v1/messages") as url:
            request = client.build_request("POST", url, json={**_message(text), "stream": True})
            response: httpx2.Response = await client.send(request, stream=True)
        async for _ in response.aiter_lines():
            pass
        await response.aclose()
        return response.status_code


async def read_github(*paths: str) -> list[int]:
    """aiohttp, all at once, some answers in chunks."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        return list(await asyncio.gather(*(_read_github(session, path) for path in paths)))


async def _read_github(session: aiohttp.ClientSession, path: str) -> int:
    with call("github", path) as url:
        response = await session.get(url)
    async with response:
        await response.read()
        return response.status


def _message(text: str) -> dict[str, object]:
    return {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": text}]}
