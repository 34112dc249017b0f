"""A small forward proxy: CONNECT tunnels and absolute-form requests, with or without credentials."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.exporters.support import read_request


class _Handler(socketserver.BaseRequestHandler):
    server: ForwardProxy

    def handle(self) -> None:
        request = read_request(self.request)
        if not request:
            return
        method, target, _ = request.split(b"\r\n", 1)[0].decode().split(" ")
        self.server.seen.append((method, target))
        self.server.requests.append(request)
        if not self.server.admits(request):
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        with contextlib.suppress(OSError):
            self._tunnel(target) if method == "CONNECT" else self._forward(target, request)

    def _tunnel(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._pump(upstream)

    def _forward(self, target: str, request: bytes) -> None:
        url = urlsplit(target)
        with socket.create_connection((url.hostname, url.port or 80)) as upstream:
            upstream.sendall(request.replace(target.encode(), url.path.encode(), 1))
            self._pump(upstream)

    def _pump(self, upstream: socket.socket) -> None:
        other = {self.request: upstream, upstream: self.request}
        while True:
            for ready in select.select(list(other), [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                other[ready].sendall(data)


class ForwardProxy(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, credentials: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.credentials = credentials
        self.seen: list[tuple[str, str]] = []
        """(method, target) of each request that the proxy itself was sent."""
        self.requests: list[bytes] = []

    def admits(self, request: bytes) -> bool:
        wanted = b"Basic " + base64.b64encode(self.credentials.encode())
        return not self.credentials or wanted in request

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def forward_proxy(credentials: str = "") -> Iterator[ForwardProxy]:
    """``credentials`` as ``user:password``: any request without them is refused with 407."""
    with ForwardProxy(credentials) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
