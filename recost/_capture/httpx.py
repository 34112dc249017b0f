"""httpx, and httpx2 which has its shape: one event for each ``Client.send`` and ``AsyncClient.send``.

Redirects and auth flows happen inside ``send``: the event has the first URL and the last status.  This file imports
neither package: all it needs is on the request and the response.
"""

from __future__ import annotations

from types import FrameType
from typing import Any, Optional

from recost._capture.parts import argument, length_bytes, netloc_of
from recost._capture.wrap import Args, Finding, Inner, Kwargs, Target, wrap_coroutine, wrap_function

TARGETS = [("Client.send", wrap_function), ("AsyncClient.send", wrap_coroutine)]

BODILESS = frozenset({204, 304})


def target(args: Args, kwargs: Kwargs) -> Target:
    return _target_of(argument(args, kwargs, 1, "request"))


def read_call(args: Args, kwargs: Kwargs, response: Any, error: Optional[BaseException]) -> Optional[Finding]:
    request = args[1] if len(args) > 1 else kwargs["request"]
    method, scheme, netloc, path = _target_of(request)
    content: Optional[bytes] = getattr(request, "_content", None)  # .content raises where this is missing
    sent = _streamed_bytes(request) if content is None else len(content)
    if response is None:
        # A response hook may raise what it found: response.raise_for_status() is the usual one.
        status, received = getattr(getattr(error, "response", None), "status_code", 0), 0
    else:
        status, received = response.status_code, _received_bytes(method, response)
    return method, scheme, netloc, path, status, sent, received


def carries(inner: Inner, frames: list[FrameType]) -> bool:
    """What a transport asks another client for is part of the call, if it is the request that the transport was given.

    All else that runs inside is the user's: hooks, auth flows, generated bodies, an ASGI application.
    """
    for frame in frames:
        if frame.f_code.co_name == "_send_single_request":
            carried = _target_of(frame.f_locals["request"])
            return inner.client.target(inner.args, inner.kwargs)[:3] == carried[:3]
    return False


def _target_of(request: Any) -> Target:
    try:
        parts = request.url._uri_reference  # noqa: SLF001 - as encoded for sending; the properties are four more calls
        return request.method, parts.scheme, netloc_of(parts.scheme, parts.host, parts.port), parts.path or "/"
    except AttributeError:
        return _target_as_told(request)


def _target_as_told(request: Any) -> Target:
    """By what the request says in public."""
    url = request.url
    host = url.host if url.host.isascii() else url.raw_host.decode("ascii")  # .host is for people
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return request.method, url.scheme, netloc_of(url.scheme, host, url.port), path


def _streamed_bytes(request: Any) -> int:
    """The length of a multipart form is in its headers. Bytes, text, forms and JSON are whole in the request."""
    return (
        length_bytes(request.headers.get("content-length")) if type(request.stream).__name__ == "MultipartStream" else 0
    )


def _received_bytes(method: str, response: Any) -> int:
    if response.is_closed and response.num_bytes_downloaded:
        return int(response.num_bytes_downloaded)
    if method == "HEAD" or response.status_code in BODILESS:
        return 0
    return length_bytes(response.headers.get("content-length"))
