"""Servers that the captured clients really talk to: an origin, a forward proxy, and one that makes calls overlap."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Optional
from urllib.parse import urlsplit

HOST = "127.0.0.2"
BODY = b"0123456789"
CHUNKS = [b"abc", b"defgh", b"ij"]
FLAKY_FAILURES = 2


class Received(NamedTuple):
    """One request as it arrived."""

    method: str
    path: str
    body_bytes: int


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__((HOST, 0), handler)
        self.received: list[Received] = []
        self.closing = threading.Event()

    @property
    def netloc(self) -> str:
        return f"{HOST}:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.netloc}"

    def handle_error(self, request, client_address) -> None:
        """A client that went away in the middle is what some tests are about."""


@contextlib.contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[Server]:
    server = Server(handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives it
        pass

    def handle_any(self) -> None:
        body = self._read_body()
        self.server.received.append(Received(self.command, self.path, len(body)))
        self.answer(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = handle_any

    def answer(self, body: bytes) -> None:
        raise NotImplementedError

    def reply(self, status: int = 200, body: bytes = BODY, headers: Optional[dict[str, str]] = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in {204, 304}:
            self.wfile.write(body)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


class Origin(Handler):
    """Answers as the first word of the path says."""

    def answer(self, body: bytes) -> None:
        word, *rest = self.path.partition("?")[0].strip("/").split("/")
        getattr(self, f"_{word}", self._ok)(body, rest)

    def _ok(self, body: bytes, rest: list[str]) -> None:
        self.reply()

    def _echo(self, body: bytes, rest: list[str]) -> None:
        self.reply(body=json.dumps({"bytes": len(body)}).encode())

    def _status(self, body: bytes, rest: list[str]) -> None:
        self.reply(int(rest[0]))

    def _redirect(self, body: bytes, rest: list[str]) -> None:
        """/redirect/302/3: three hops with status 302, then /ok."""
        left = int(rest[1])
        self.reply(int(rest[0]), b"moved", {"Location": f"/redirect/{rest[0]}/{left - 1}" if left > 1 else "/ok?hop=1"})

    def _loop(self, body: bytes, rest: list[str]) -> None:
        self.reply(302, b"", {"Location": "/loop"})

    def _flaky(self, body: bytes, rest: list[str]) -> None:
        """/flaky/name: fails a few times under each name."""
        tries = sum(1 for received in self.server.received if received.path == self.path)
        self.reply(503 if tries <= FLAKY_FAILURES else 200)

    def _drop(self, body: bytes, rest: list[str]) -> None:
        self.close_connection = True

    def _nonsense(self, body: bytes, rest: list[str]) -> None:
        self.wfile.write(b"this is no HTTP\r\n\r\n")
        self.close_connection = True

    def _hang(self, body: bytes, rest: list[str]) -> None:
        self.server.closing.wait(60)
        self.close_connection = True

    def _chunked(self, body: bytes, rest: list[str]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in [*CHUNKS, b""]:
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")


class ForwardProxy(Handler):
    """Takes requests with an absolute URL, as a plain http proxy does, and passes them on."""

    def answer(self, body: bytes) -> None:
        target = urlsplit(self.path)
        if not target.hostname:
            self.reply(400)
            return
        connection = http.client.HTTPConnection(target.hostname, target.port)
        with contextlib.closing(connection):
            connection.request(self.command, f"{target.path}?{target.query}", body)
            response = connection.getresponse()
            self.reply(response.status, response.read())


class Gathering:
    """Answers nobody before all of ``expected`` requests are there: who gets an answer has overlapped with all."""

    def __init__(self) -> None:
        self.expected = 0
        self.arrived = 0
        self.netloc = ""
        self._all_here: Optional[asyncio.Event] = None
        self._loop = asyncio.new_event_loop()

    @property
    def url(self) -> str:
        return f"http://{self.netloc}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Gathering]:
        ready = threading.Event()
        thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        thread.start()
        assert ready.wait(60)
        yield self
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join()

    def expect(self, count: int) -> None:
        self.expected, self.arrived = count, 0
        self._loop.call_soon_threadsafe(self._new_gathering)

    def _new_gathering(self) -> None:
        self._all_here = asyncio.Event()

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._answer, HOST, 0, backlog=512))
        host, port = server.sockets[0].getsockname()[:2]
        self.netloc = f"{host}:{port}"
        ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await self._wait_for_the_others()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        writer.close()

    async def _wait_for_the_others(self) -> None:
        assert self._all_here is not None
        self.arrived += 1
        if self.arrived >= self.expected:
            self._all_here.set()
        await self._all_here.wait()
