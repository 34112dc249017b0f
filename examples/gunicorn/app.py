"""A small shop under Gunicorn: each page calls a paid API, each with another client.  Nothing here knows of recost.

    cd examples/gunicorn && gunicorn app:app        # settings and hooks: gunicorn.conf.py
    curl http://127.0.0.1:8000/chat

``OPENAI_URL`` and so on send a page's call elsewhere, for example to ``python -m examples.standins``.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
import httpx
import httpx2
import requests
import urllib3

TIMEOUT_S = 10.0

openai = httpx2.Client(base_url=os.environ.get("OPENAI_URL", "https://api.openai.com"), timeout=TIMEOUT_S)
anthropic = httpx.Client(base_url=os.environ.get("ANTHROPIC_URL", "https://api.anthropic.com"), timeout=TIMEOUT_S)
stripe_url = os.environ.get("STRIPE_URL", "https://api.stripe.com")
twilio_url = os.environ.get("TWILIO_URL", "https://api.twilio.com")
github_url = os.environ.get("GITHUB_URL", "https://api.github.com")
pools = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False)


def chat() -> int:
    return openai.post("/v1/chat/completions", json={"model": "gpt-4o-mini", "messages": []}).status_code


def summarize() -> int:
    return anthropic.post("/v1/messages", json={"model": "claude-3-5-haiku-20241022", "messages": []}).status_code


def pay() -> int:
    return requests.post(f"{stripe_url}/v1/charges", data={"amount": 1999}, timeout=TIMEOUT_S).status_code


def notify() -> int:
    url = f"{twilio_url}/2010-04-01/Accounts/AC1/Messages.json"
    return pools.request("POST", url, fields={"Body": "It is on its way"}).status


def repositories() -> int:
    return asyncio.run(_status(f"{github_url}/repos/python/cpython"))


async def _status(url: str) -> int:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:
        async with session.get(url) as response:
            await response.read()
            return response.status


PAGES: dict[str, Callable[[], int]] = {
    "/chat": chat,
    "/summarize": summarize,
    "/pay": pay,
    "/notify": notify,
    "/repositories": repositories,
}


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    page = PAGES.get(environ["PATH_INFO"])
    status, answer = ("200 OK", {"api_status": page()}) if page else ("404 Not Found", {"pages": sorted(PAGES)})
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps({**answer, "pid": os.getpid()}).encode()]
