"""urllib3, and so requests and boto3: one event for each ``urlopen`` of a connection pool.

``requests`` and urllib3's ``PoolManager`` call it once per hop of a redirect: an event each.  Within one call stay
the retries, and the redirects that a pool follows when it is used without a manager: there ``urlopen`` calls itself.
"""

from __future__ import annotations

from typing import Any, Optional
from urllib.parse import urlsplit

from urllib3 import __version__ as urllib3_version  # type: ignore[attr-defined]  # it is there, if not in __all__
from urllib3.exceptions import MaxRetryError, ResponseError
from urllib3.util.retry import Retry

from recost._capture.parts import body_bytes, netloc_of
from recost._capture.wrap import Args, Finding, Kwargs, Target, calls_around, wrap_function

TARGETS = [("HTTPConnectionPool.urlopen", wrap_function)]

TEXT_IS_LATIN_1 = urllib3_version.startswith("1.")
"""Before 2.0 http.client encoded a body of text, a byte for each letter."""


carries = None


def target(args: Args, kwargs: Kwargs) -> Target:
    method = args[1] if len(args) > 1 else kwargs["method"]
    url = args[2] if len(args) > 2 else kwargs["url"]
    if not url.startswith("/"):  # through a forward proxy: the pool is the proxy's, the URL the real one
        parts = urlsplit(url)
        netloc = netloc_of(parts.scheme, parts.hostname or "", parts.port)
        return method.upper(), parts.scheme, netloc, parts.path or "/"
    pool = args[0]
    scheme = pool.scheme
    path = url.partition("?")[0].partition("#")[0] if "?" in url or "#" in url else url
    return method.upper(), scheme, netloc_of(scheme, pool.host, pool.port), path


def read_call(args: Args, kwargs: Kwargs, response: Any, error: Optional[BaseException]) -> Optional[Finding]:
    retries = args[5] if len(args) > 5 else kwargs.get("retries")
    if isinstance(retries, Retry) and retries.history and _is_another_try(args[0]):
        return None
    method, scheme, netloc, path = target(args, kwargs)
    body = args[3] if len(args) > 3 else kwargs.get("body")
    sent = 0 if body is None else len(body) if type(body) is bytes else _sent_bytes(body)
    if response is None:
        status, received = _last_status(error), 0
    else:
        # Read so far, with preload_content that is all, and to come: nothing after HEAD, unknown when chunked.
        status = response.status
        received = getattr(response, "_fp_bytes_read", 0) + (response.length_remaining or 0)
    return method, scheme, netloc, path, status, sent, received


def _is_another_try(pool: Any) -> bool:
    """Whether ``pool`` calls itself: it hands on the retries that are left, and these have a history.

    A call that a generated body makes through the same pool starts with fresh ones.
    """
    return any(args[0] is pool for args in calls_around()[1:])


def _sent_bytes(body: Any) -> int:
    return len(body) if TEXT_IS_LATIN_1 and type(body) is str else body_bytes(body)


def _last_status(error: Optional[BaseException]) -> int:
    """What the last try was answered when the answers used the retries up: only the text of the error has it."""
    if isinstance(error, MaxRetryError) and isinstance(error.reason, ResponseError):
        return next((int(word) for word in str(error.reason).split() if word.isdecimal()), 0)
    return 0
