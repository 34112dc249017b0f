"""aiohttp: one event for each ``ClientSession._request``, which all its methods end in, ``ws_connect`` too.

Redirects happen inside: the event has the first URL and the last status.  Whatever else is captured while it runs is
the user's (middlewares, traces, generated bodies), so it carries nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Optional

from aiohttp import FormData, MultipartWriter
from aiohttp.hdrs import CONTENT_LENGTH
from aiohttp.payload import BytesPayload

from recost._capture.parts import argument, body_bytes, length_bytes, netloc_of
from recost._capture.wrap import Args, Finding, Kwargs, Target, wrap_coroutine

TARGETS = [("ClientSession._request", wrap_coroutine)]

carries = None

BODILESS = frozenset({101, 204, 304})

SIZED = (bytes, bytearray, memoryview, str, dict, list, tuple, FormData, BytesPayload, MultipartWriter)
"""Kinds of ``data`` that are no streams. aiohttp turns each into bytes once, and says in the headers how many."""


def target(args: Args, kwargs: Kwargs) -> Target:
    url = args[0]._build_url(argument(args, kwargs, 2, "str_or_url"))  # noqa: SLF001 - only it knows of base_url
    return _target_of(argument(args, kwargs, 1, "method"), url)


def read_call(args: Args, kwargs: Kwargs, response: Any, error: Optional[BaseException]) -> Optional[Finding]:
    if response is None:
        method, scheme, netloc, path = target(args, kwargs)
        request, status = _left_behind(error)
        received = 0
    else:
        history = response.history
        request, status = (history[0] if history else response).request_info, response.status
        method, scheme, netloc, path = _target_of(args[1] if len(args) > 1 else kwargs["method"], request.url)
        received = _received_bytes(response, status)
    sent = _sent_bytes(kwargs, request)
    return method, scheme, netloc, path, status, sent, received


def _target_of(method: str, url: Any) -> Target:
    scheme = url.scheme
    return method.upper(), scheme, netloc_of(scheme, url.raw_host or "", url.explicit_port), url.raw_path


def _left_behind(error: Optional[BaseException]) -> tuple[Any, int]:
    """The first request of a call that failed, and the status if what failed it was an answer (raise_for_status).

    Both are nowhere but in the frame of ``_request``. (None, 0): the call failed before there was a request.
    """
    trace: Optional[TracebackType] = None if error is None else error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_name != "_request":
        trace = trace.tb_next
    if trace is None:
        return None, 0
    found = trace.tb_frame.f_locals
    history, status = found.get("history"), getattr(found.get("resp"), "status", None) or 0
    return history[0].request_info if history else found.get("req"), status if status >= 400 else 0


def _sent_bytes(kwargs: Kwargs, request: Any) -> int:
    data = kwargs.get("data")
    if type(data) is bytes:
        return len(data)
    if data is None and kwargs.get("json") is None:
        return 0
    if data is not None and not issubclass(type(data), SIZED):
        return 0
    length = None if request is None else request.headers.get(CONTENT_LENGTH)
    return body_bytes(data) if length is None else length_bytes(length)


def _received_bytes(response: Any, status: int) -> int:
    length = response.headers.get(CONTENT_LENGTH)
    return 0 if length is None or response.method == "HEAD" or status in BODILESS else length_bytes(length)
