"""httpx, and httpx2 which has its shape: one event for each ``Client.send`` and ``AsyncClient.send``.

Redirects and auth flows happen inside ``send``: the event has the first URL and the last status.  This file imports
neither package: all it needs is on the request and the response.
"""

from __future__ import annotations

from types import FrameType
from typing import Any, Optional

from recost._capture.wrap import (
    Args,
    Call,
    Inner,
    Kwargs,
    Target,
    argument,
    length_bytes,
    netloc_of,
    wrap_coroutine,
    wrap_function,
)
from recost.event import MAX_PATH, CallEvent

TARGETS = [("Client.send", wrap_function), ("AsyncClient.send", wrap_coroutine)]

BODILESS = frozenset({204, 304})


def target(args: Args, kwargs: Kwargs) -> Target:
    return _target_of(argument(args, kwargs, 1, "request"))


def read_call(call: Call, duration_ns: int, response: Any, error: Optional[BaseException]) -> Optional[CallEvent]:
    request = argument(call.args, call.kwargs, 1, "request")
    method, scheme, netloc, path = _target_of(request)
    if response is None:
        # A response hook may raise what it found: response.raise_for_status() is the usual one.
        status, received = getattr(getattr(error, "response", None), "status_code", 0), 0
    else:
        status, received = response.status_code, _received_bytes(method, response)
    return CallEvent(
        call.at_ns, duration_ns, method, scheme, netloc, path[:MAX_PATH], status, _sent_bytes(request), received
    )


def carries(_outer: Call, inner: Inner, frames: list[FrameType]) -> bool:
    """What a transport asks another client for is part of the call, if it is the request that the transport was given.

    All else that runs inside is the user's: hooks, auth flows, generated bodies, an ASGI application.
    """
    for frame in frames:
        if frame.f_code.co_name == "_send_single_request":
            carried = _target_of(frame.f_locals["request"])
            return inner.client.target(inner.args, inner.kwargs)[:3] == carried[:3]
    return False


def _target_of(request: Any) -> Target:
    url = request.url
    scheme, host = url.scheme, url.host
    if not host.isascii():  # .host is for people; the name that is asked for is the encoded one
        host = url.raw_host.decode("ascii")
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return request.method, scheme, netloc_of(scheme, host, url.port), path


def _sent_bytes(request: Any) -> int:
    """Bytes, text, forms and JSON are whole in the request; the length of a multipart form is in its headers."""
    content: Optional[bytes] = getattr(request, "_content", None)  # .content raises where this is missing
    if content is not None:
        return len(content)
    if type(request.stream).__name__ == "MultipartStream":
        return length_bytes(request.headers.get("content-length"))
    return 0


def _received_bytes(method: str, response: Any) -> int:
    if response.is_closed and response.num_bytes_downloaded:
        return int(response.num_bytes_downloaded)
    if method == "HEAD" or response.status_code in BODILESS:
        return 0
    return length_bytes(response.headers.get("content-length"))
