"""A small HTTP/1.1 server: asyncio on a thread of its own, several addresses, bodies whole or in chunks."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple, Optional
from urllib.parse import parse_qs, urlsplit

START_S = 10.0


class Request(NamedTuple):
    """What a client sent, received whole. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    address: tuple[str, int]
    """Where it arrived, which tells the providers apart."""


class Answer(NamedTuple):
    """What to send back: ``body``, or ``chunks`` as they come."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    chunks: Optional[AsyncIterator[bytes]] = None


def json_answer(value: object, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


Handler = Callable[[Request], Awaitable[Answer]]


class StandIn:
    """Serves ``handle`` on ``addresses`` from ``start`` to ``stop``, and again: ports given as 0 are kept then.

    While stopped, connections are refused. A context manager; any thread may call.
    """

    def __init__(self, handle: Handler, addresses: list[tuple[str, int]], tls: Optional[ssl.SSLContext] = None) -> None:
        self._handle = handle
        self._tls = tls
        self.addresses = addresses
        """Host and port, the real ones after the first ``start``."""
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._thread: Optional[threading.Thread] = None
        self._servers: list[asyncio.AbstractServer] = []
        self._connections: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listens when it returns. Raises ``OSError`` where an address cannot be bound."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in", daemon=True)
        self._thread.start()
        try:
            self._run(self._listen())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Close everything, requests under way too. Harmless when stopped."""
        if self._loop is None or self._thread is None:
            return
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_S)

    async def _listen(self) -> None:
        for index, (host, port) in enumerate(self.addresses):
            server = await asyncio.start_server(self._serve, host, port, ssl=self._tls, backlog=512)
            self._servers.append(server)
            self.addresses[index] = server.sockets[0].getsockname()[:2]

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
            writer.close()
        except (OSError, EOFError, asyncio.CancelledError):
            writer.transport.abort()  # the client has left in the middle, or we are closing
        finally:
            self._connections.discard(task)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            request = await _read_request(reader, writer)
        except ValueError:  # no HTTP
            return False
        if request is None:
            return False
        await _write_answer(writer, await self._handle(request))
        return request.headers.get("connection", "").lower() != "close"


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Optional[Request]:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:  # the client has closed a connection that it kept alive
        return None
    first, *lines = head[:-4].split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    url = urlsplit(target)
    address = writer.get_extra_info("sockname")[:2]
    return Request(method, url.path, parse_qs(url.query), headers, await _read_body(reader, headers), address)


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def _write_answer(writer: asyncio.StreamWriter, answer: Answer) -> None:
    status = answer.status
    reason = http.client.responses.get(status, "Unknown")
    headers = {"Content-Type": "text/plain", **answer.headers}
    if answer.chunks is None:
        headers["Content-Length"] = str(len(answer.body))
    else:
        headers["Transfer-Encoding"] = "chunked"
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode("latin-1") + answer.body)
    if answer.chunks is not None:
        async for chunk in answer.chunks:
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    await writer.drain()
