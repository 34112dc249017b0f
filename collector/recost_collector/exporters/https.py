"""The recost service, or a self-hosted one: a frame is a POST over a connection that stays open between frames.

No text made here holds the key or a proxy's password, wherever in urllib3 it came from; bodies of answers are
read only to get the connection back.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from typing import Optional
from urllib.parse import urlsplit

import urllib3

from recost.notice import Notice
from recost.session import Destination
from recost_collector.exporters import Frame, Lease, Reject, Retry
from recost_collector.exporters.answers import Answer, outcome, plain, read_answer, undelivered
from recost_collector.exporters.limit import limit
from recost_collector.exporters.pool import TIMEOUT, Unusable, open_pool
from recost_collector.network_words import in_words

MAX_DRAINED_BYTES = 64 << 10
DRAIN_S = 5.0
MAX_EXPLANATION = 300
_PROXY_WANTS_AUTH = 407
_MEND = "recost-collector doctor --reach examines the way there"


class HttpsExporter:
    """POSTs to one URL."""

    def __init__(self, destination: Destination) -> None:
        url = urlsplit(destination.url)
        self._destination = destination
        self._host = url.netloc.rpartition("@")[2]
        self._path = url.path
        # Made at the first export: an unreadable CA bundle is an outcome like any other.
        self._pool: Optional[urllib3.PoolManager] = None

    def export(self, frame: Frame) -> None:
        try:
            answer = self._post(frame)
        except Unusable as exc:
            raise self._no_answer(str(exc)) from exc
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as exc:
            raise self._no_answer(_explain(exc, frame)) from None  # a traceback would bring the text back
        if answer.status == _PROXY_WANTS_AUTH and isinstance(self._pool, urllib3.ProxyManager):
            raise self._no_answer("the proxy wants other credentials (407)")
        result = outcome(answer, self._host, self._path)
        if result is not None:
            raise result

    def close(self) -> None:
        manager, self._pool = self._pool, None
        if manager is not None:
            with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):  # it is going away
                for key in manager.pools.keys():  # noqa: SIM118 - no dict; ``clear`` leaves it to finalizers
                    manager.pools[key].close()  # which an exiting interpreter does not run
                manager.clear()

    def _post(self, frame: Frame) -> Answer:
        if self._pool is None:
            self._pool = open_pool(self._destination)
        response = self._pool.urlopen(
            "POST",
            self._destination.url,
            body=frame.body,
            headers=_headers(frame),
            retries=False,
            redirect=False,
            timeout=TIMEOUT,
            preload_content=False,
            decode_content=False,
        )
        answer = read_answer(response.status, response.headers, time.time())
        _give_back(response)
        return answer

    def _no_answer(self, text: str) -> Retry:
        return undelivered(f"no delivery to {self._host}: {text}", mend=_MEND)


def open_exporter(destination: Destination, lease: Lease) -> HttpsExporter:  # noqa: ARG001 - one shape for all
    return HttpsExporter(destination)


def _headers(frame: Frame) -> dict[str, str]:
    if not _fits_header(frame.api_key):
        raise Unusable("api_key holds characters that no header can carry")
    if not (_fits_header(frame.key) and _fits_header(frame.sdk_version)):
        raise Reject(Notice("parked", "the window's key or SDK version holds characters that no header can carry"))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"recost-python/{frame.sdk_version}",
        "Idempotency-Key": frame.key,
    }
    if frame.api_key:
        headers["Authorization"] = f"Bearer {frame.api_key}"
    return headers


def _fits_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _give_back(response: urllib3.response.BaseHTTPResponse) -> None:
    """Read the rest of an answer, a bounded amount, so that its connection serves the next frame; else close it."""
    # After a 1xx (http.client takes any but 100 for the answer) the real one would be read as the next frame's.
    if response.status < 200 or not _drained(response):
        response.close()
    else:
        response.release_conn()


def _drained(response: urllib3.response.BaseHTTPResponse) -> bool:
    connection = getattr(response, "connection", None)
    if connection is None or connection.sock is None:  # not kept alive: nothing to gain
        return False
    left = MAX_DRAINED_BYTES
    # The status is known, so a body that breaks off changes nothing.
    with contextlib.suppress(urllib3.exceptions.HTTPError, http.client.HTTPException, OSError):
        with limit(lambda: connection.sock, DRAIN_S):
            while left > 0 and (chunk := response.read(8192, decode_content=False)):
                left -= len(chunk)
        return left > 0
    return False


def _explain(exc: Exception, frame: Frame) -> str:
    text = in_words(exc)
    if frame.api_key and frame.api_key in text:
        text = type(exc).__name__
    if isinstance(exc, urllib3.exceptions.SSLError):
        text = f"{text}; for a CA of your own set SSL_CERT_FILE to its bundle"
    return plain(text, MAX_EXPLANATION)
