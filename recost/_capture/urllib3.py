"""urllib3, and so requests and boto3: one event for each ``urlopen`` of a connection pool.

``requests`` and urllib3's ``PoolManager`` call it once per hop of a redirect: an event each.  Within one call stay
the retries, and the redirects that a pool follows when it is used without a manager: there ``urlopen`` calls itself.
"""

from __future__ import annotations

from types import FrameType
from typing import Any, Optional
from urllib.parse import urlsplit

from urllib3 import __version__ as urllib3_version  # type: ignore[attr-defined]  # it is there, if not in __all__
from urllib3.exceptions import MaxRetryError, ResponseError

from recost._capture.wrap import Args, Call, Inner, Kwargs, Target, argument, body_bytes, netloc_of, wrap_function
from recost.event import MAX_PATH, CallEvent

TARGETS = [("HTTPConnectionPool.urlopen", wrap_function)]

TEXT_IS_LATIN_1 = urllib3_version.startswith("1.")
"""Before 2.0 http.client encoded a body of text, a byte for each letter."""


def target(args: Args, kwargs: Kwargs) -> Target:
    method = argument(args, kwargs, 1, "method").upper()
    url = argument(args, kwargs, 2, "url")
    if not url.startswith("/"):  # through a forward proxy: the pool is the proxy's, the URL the real one
        parts = urlsplit(url)
        netloc = netloc_of(parts.scheme, parts.hostname or "", parts.port)
        return method, parts.scheme, netloc, parts.path or "/"
    pool = args[0]
    path = url.partition("?")[0].partition("#")[0]
    return method, pool.scheme, netloc_of(pool.scheme, pool.host, pool.port), path


def read_call(call: Call, duration_ns: int, response: Any, error: Optional[BaseException]) -> Optional[CallEvent]:
    method, scheme, netloc, path = target(call.args, call.kwargs)
    sent = _sent_bytes(argument(call.args, call.kwargs, 3, "body"))
    if response is None:
        status, received = _last_status(error), 0
    else:
        # Read so far, with preload_content that is all, and to come: nothing after HEAD, unknown when chunked.
        status = response.status
        received = getattr(response, "_fp_bytes_read", 0) + (response.length_remaining or 0)
    return CallEvent(call.at_ns, duration_ns, method, scheme, netloc, path[:MAX_PATH], status, sent, received)


def carries(outer: Call, inner: Inner, _frames: list[FrameType]) -> bool:
    """A pool that calls itself hands on the retries that are left, and these have a history.

    A call that a generated body makes through the same pool starts with fresh ones.
    """
    retries = argument(inner.args, inner.kwargs, 5, "retries")
    return inner.args[0] is outer.args[0] and bool(getattr(retries, "history", ()))


def _sent_bytes(body: Any) -> int:
    return len(body) if TEXT_IS_LATIN_1 and type(body) is str else body_bytes(body)


def _last_status(error: Optional[BaseException]) -> int:
    """What the last try was answered when the answers used the retries up: only the text of the error has it."""
    if isinstance(error, MaxRetryError) and isinstance(error.reason, ResponseError):
        return next((int(word) for word in str(error.reason).split() if word.isdecimal()), 0)
    return 0
