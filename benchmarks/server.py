"""A server on 127.0.0.2 that answers every request with the same few bytes, as cheaply as Python can.

``python -m benchmarks.server``, in a process of its own: says its port on stdout and ends with its stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.exchange import ANSWER
from benchmarks.place import ROOT

HOST = "127.0.0.2"
END_OF_HEAD = b"\r\n\r\n"


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """The server's address as a URL, as long as the block lasts."""
    command = [sys.executable, "-m", "benchmarks.server"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collector")])}
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://{HOST}:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._take_request():
            self._transport.write(ANSWER)

    def _take_request(self) -> bool:
        head, found, rest = self._received.partition(END_OF_HEAD)
        length = _content_length(head) if found else 0
        if not found or len(rest) < length:
            return False
        self._received = rest[length:]
        return True


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
