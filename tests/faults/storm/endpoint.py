"""The faulty endpoint of the kill storm: a process that fails on purpose, is killed, and comes back on its port.

*Applied* means that the frame is in a file, written with one ``write`` before anything is answered: what was written a
SIGKILL does not take back.  Each life of the process has a file of its own, so a frame that a kill cut short is the
last of its file and has no end of line; it was neither applied nor answered.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import struct
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from tests.harness import start_child, wait_for_child

HOST = "127.0.0.2"
REQUEST_BYTES, RESPONSE_BYTES = 10, 20
"""Of every call that an ``Offering`` publishes."""
BACKLOG = 64
SLOW_S = 0.25
"""The longest that a slow one waits before it applies the frame, and again before it answers."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""``SO_LINGER`` with no time to linger: closing sends a reset."""


class Faults(NamedTuple):
    """Shares of the frames that meet each fault."""

    failed: float = 0.0
    """Answered 500; not applied."""
    reset: float = 0.0
    """Applied; the connection is reset."""
    denied: float = 0.0
    """Applied; answered 503."""
    slow: float = 0.0
    """Whatever else they meet."""


FAULTY = Faults(failed=0.10, reset=0.10, denied=0.05, slow=0.10)
HEALTHY = Faults()


class Endpoint:
    """The harness's side. One thread; the process is its child."""

    def __init__(self, folder: Path, seed: float) -> None:
        folder.mkdir()
        self._folder = folder
        self._random = random.Random(seed)
        self._lives = itertools.count()
        self._pid = 0
        # Bound, never listening: the port stays ours while the process is dead, and connections to it are refused.
        self._reserved = _bound_socket(0)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def is_alive(self) -> bool:
        return bool(self._pid)

    def start(self, faults: Faults) -> None:
        """Listens when it returns."""
        file = self._folder / f"life-{next(self._lives)}"
        seed = self._random.random()
        with _bound_socket(self._port) as listener:
            listener.listen(BACKLOG)
            self._pid = start_child(lambda: _serve(listener, file, faults, seed))

    def kill(self) -> None:
        """SIGKILL; harmless when it is dead."""
        pid, self._pid = self._pid, 0
        if pid:
            os.kill(pid, signal.SIGKILL)
            wait_for_child(pid)

    def arrived(self) -> Arrived:
        """Everything that was applied in all its lives."""
        return _read(sorted(self._folder.iterdir()))

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._reserved.close()

    @property
    def _port(self) -> int:
        port: int = self._reserved.getsockname()[1]
        return port


class Arrived(NamedTuple):
    """What is left of the applied frames when each key counts once for its project."""

    calls: Counter[tuple[str, str, str]]
    """By project, environment and endpoint."""
    frames: int
    repeats: int
    """Frames that were applied before; the key told."""
    odd: list[str]
    """What no recost may send: another body under the same key, figures that do not belong together."""


class _Metric(msgspec.Struct, rename="camel"):
    endpoint: str
    request_count: int
    error_count: int
    total_request_bytes: int
    total_response_bytes: int


class _Window(msgspec.Struct):
    environment: str
    metrics: list[_Metric]


class _Applied(msgspec.Struct):
    """A line of a life's file."""

    project: str
    key: str
    window: msgspec.Raw


class _Server(ThreadingHTTPServer):
    """In the endpoint's process: a thread for each connection."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, file: Path, faults: Faults, seed: float) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.faults = faults
        self.random = random.Random(seed)
        self._applied_fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def apply(self, project: str, key: str, body: bytes) -> None:
        line = msgspec.json.encode(_Applied(project, key, msgspec.Raw(body))) + b"\n"
        written = os.write(self._applied_fd, line)
        assert written == len(line), "the disk is full, this proves nothing"


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        server, chance = self.server, self.server.random.random()
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        if len(body) < size:  # the collector was killed in the middle of it
            self.close_connection = True
            return
        failed, reset, denied = itertools.accumulate(server.faults[:3])
        self._dawdle()
        if chance < failed:
            self._answer(500)
            return
        server.apply(self.path.split("/")[2], self.headers["Idempotency-Key"], body)
        self._dawdle()
        if failed <= chance < reset:
            self._reset()
        else:
            self._answer(503 if reset <= chance < denied else 202)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _dawdle(self) -> None:
        if self.server.random.random() < self.server.faults.slow / 2:  # called twice
            time.sleep(self.server.random.uniform(0, SLOW_S))

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        os.close(self.connection.detach())  # not ``close``, which waits for its files and ends in good order first


def _serve(listener: socket.socket, file: Path, faults: Faults, seed: float) -> NoReturn:
    server = _Server(listener, file, faults, seed)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that was killed
    server.serve_forever()
    raise AssertionError("only a SIGKILL ends the endpoint")


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound


def _read(files: list[Path]) -> Arrived:
    arrived = Arrived(Counter(), 0, 0, [])
    bodies: dict[tuple[str, str], bytes] = {}
    applied = 0
    for frame in itertools.chain.from_iterable(map(_frames, files)):
        applied += 1
        body = bytes(frame.window)
        first = bodies.setdefault((frame.project, frame.key), body)
        if first != body:
            arrived.odd.append(f"two frames of {frame.project} have the key {frame.key}, and other bytes")
    for (project, _), body in bodies.items():
        _count(project, msgspec.json.decode(body, type=_Window), arrived)
    return arrived._replace(frames=len(bodies), repeats=applied - len(bodies))


def _frames(file: Path) -> list[_Applied]:
    lines = file.read_bytes().splitlines(keepends=True)
    return [msgspec.json.decode(line, type=_Applied) for line in lines if line.endswith(b"\n")]


def _count(project: str, window: _Window, arrived: Arrived) -> None:
    for metric in window.metrics:
        calls = metric.request_count
        arrived.calls[project, window.environment, metric.endpoint] += calls
        sums = (metric.error_count, metric.total_request_bytes, metric.total_response_bytes)
        if sums != (0, REQUEST_BYTES * calls, RESPONSE_BYTES * calls):
            arrived.odd.append(f"{calls} calls to {metric.endpoint} have errors and bytes {sums}")
