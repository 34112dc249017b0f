"""Under Gunicorn: each request makes one call with the client that its path names, and answers with the worker's pid.

A client is imported when it is first asked for, long after ``init()``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import recost

API = os.environ["API_URL"]

if "APP_CALLS_INIT" in os.environ:
    recost.init()


def call_with_urllib3(url: str) -> int:
    import urllib3

    with urllib3.PoolManager(retries=False) as pools:
        return pools.request("GET", url, timeout=60).status


def call_with_requests(url: str) -> int:
    import requests

    return requests.get(url, timeout=60).status_code


CLIENTS = {"/urllib3": call_with_urllib3, "/requests": call_with_requests}


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    assert CLIENTS[path](API + path) == 200
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
