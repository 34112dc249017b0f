"""requests before 2.30: one event for each body of unknown length, which it sent past urllib3's ``urlopen``.

All else it sends, and all that later releases send, is seen in urllib3's file.
"""

from __future__ import annotations

from typing import Any, Optional
from urllib.parse import urlsplit

from requests import __version__ as requests_version

from recost._capture.parts import argument, netloc_of
from recost._capture.wrap import Args, Finding, Kwargs, Target, wrap_function

PASSES_URLOPEN = tuple(int(part) for part in requests_version.split(".")[:2]) < (2, 30)

TARGETS = [("adapters.HTTPAdapter.send", wrap_function)] if PASSES_URLOPEN else []

carries = None


def target(args: Args, kwargs: Kwargs) -> Target:
    request = argument(args, kwargs, 1, "request")
    parts = urlsplit(request.url)
    return request.method, parts.scheme, netloc_of(parts.scheme, parts.hostname or "", parts.port), parts.path or "/"


def read_call(args: Args, kwargs: Kwargs, response: Any, _error: Optional[BaseException]) -> Optional[Finding]:
    request = argument(args, kwargs, 1, "request")
    if request.body is None or "Content-Length" in request.headers:  # what requests itself decides by
        return None
    method, scheme, netloc, path = target(args, kwargs)
    status = received = 0
    if response is not None:
        status, received = response.status_code, response.raw.length_remaining or 0
    return method, scheme, netloc, path, status, 0, received
