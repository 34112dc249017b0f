"""A WSGI application: each request makes one call with the client that its path names, and answers with its pid."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Callable

import requests
import urllib3

import recost

recost.init()

API = os.environ["API_URL"]


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    url = f"{API}{path}?pid={os.getpid()}"
    status = urllib3.PoolManager().request("GET", url).status if path == "/urllib3" else requests.get(url).status_code
    assert status == 200
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
