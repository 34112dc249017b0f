"""Where every product delivers to in a benchmark: a server on loopback that counts the calls it is told of.

It knows the form in which each sends them, and answers all of them alike.
"""

from __future__ import annotations

import contextlib
import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

import msgspec

LENGTH_DELIMITED, VARINT, EIGHT_BYTES, FOUR_BYTES = 2, 0, 1, 5
CLIENT_SPAN = 3
"""OTLP's SPAN_KIND_CLIENT."""
DATADOG_CALLS = ("requests.request", "http.request", "httpx.request", "aiohttp.request", "urllib3.request")
"""Names of the spans around a call; its connects have others."""
EMPTY_ANSWERS = {"/v1/traces": b""}


class Sink:
    """``calls`` only grows. One for all products: they take turns."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls = 0
        self.unreadable = 0
        self._lock = threading.Lock()

    def take(self, path: str, body: bytes) -> None:
        counted = _counter_of(path)
        if counted is None:
            return
        try:
            calls = counted(body)
        except (ValueError, KeyError, IndexError, TypeError, msgspec.MsgspecError):
            calls = None
        with self._lock:
            self.calls += calls or 0
            self.unreadable += calls is None


@contextlib.contextmanager
def running_sink() -> Iterator[Sink]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.sink = Sink(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]  # the handler's way to it
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.sink  # type: ignore[attr-defined]  # set three lines above
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = _body_of(self)
        self.server.sink.take(self.path, body)  # type: ignore[attr-defined]  # set by running_sink
        self._answer(EMPTY_ANSWERS.get(self.path, b"{}"))

    do_PUT = do_POST

    def do_GET(self) -> None:
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf" if not body else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        pass


def _body_of(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding") == "chunked":
        body = b"".join(iter(lambda: _chunk(request), b""))
    else:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
    encoding = request.headers.get("Content-Encoding")
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def _chunk(request: BaseHTTPRequestHandler) -> bytes:
    length = int(request.rfile.readline(), 16)
    data = request.rfile.read(length)
    request.rfile.readline()
    return data


def _counter_of(path: str) -> Optional[Callable[[bytes], int]]:
    """The one for this path. None: no calls are told of there."""
    return next((count for part, count in COUNTERS.items() if part in path), None)


def _recost_calls(body: bytes) -> int:
    """A window: recost's, of every version."""
    return sum(metric["requestCount"] for metric in msgspec.json.decode(body)["metrics"])


def _sentry_calls(body: bytes) -> int:
    """An envelope: a line of headers, then each item's headers and payload."""
    lines = body.split(b"\n")
    calls = 0
    for header, payload in zip(lines[1::2], lines[2::2]):
        if msgspec.json.decode(header).get("type") == "transaction":
            calls += sum(span["op"] == "http.client" for span in msgspec.json.decode(payload)["spans"])
    return calls


def _datadog_calls(body: bytes) -> int:
    """Traces as lists of spans, in msgpack."""
    return sum(span["name"] in DATADOG_CALLS for trace in msgspec.msgpack.decode(body) for span in trace)


def _otlp_calls(body: bytes) -> int:
    """Spans of the kind CLIENT in ResourceSpans (field 1) > ScopeSpans (2) > Span (2), whose field 6 is the kind."""
    spans = (
        span for resource in _fields(body, 1) for scope in _fields(resource, 2) for span in _fields(scope, 2)
    )  # fmt: skip
    return sum(CLIENT_SPAN in _fields(span, 6) for span in spans)


def _fields(message: bytes, wanted: int) -> list[Any]:
    """The values of one field of a protobuf message."""
    found: list[Any] = []
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
        elif kind == LENGTH_DELIMITED:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length  # type: ignore[assignment]  # bytes, not a number
        else:
            value, at = 0, at + {EIGHT_BYTES: 8, FOUR_BYTES: 4}[kind]
        if key >> 3 == wanted:
            found.append(value)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return value, at


COUNTERS: dict[str, Callable[[bytes], int]] = {
    "/telemetry": _recost_calls,
    "/envelope": _sentry_calls,
    "/v0.4/traces": _datadog_calls,
    "/v1/traces": _otlp_calls,
}
