"""Wires that answer by themselves: each stands where a client's lowest transport function is, so that everything of the
client above it runs as always, and nothing of a call goes through the kernel.

It imports no client: a wire has the shape that its client expects.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any

from benchmarks.exchange import ANSWER, ASKED

TOGETHER_S = 0.05
"""How long an asynchronous wire takes when many calls shall be under way at once."""


class Delay:
    """What the asynchronous wires wait for before they answer. Nothing, usually."""

    def __init__(self) -> None:
        self.seconds = 0.0


class Socket:
    """For http.client, and so for urllib3 and requests."""

    def sendall(self, _data: object) -> None:
        pass

    def makefile(self, *_args: object, **_kwargs: object) -> io.BytesIO:
        return io.BytesIO(ANSWER)

    def settimeout(self, _seconds: object) -> None:
        pass

    def getsockopt(self, *_args: object) -> int:
        return 0

    def close(self) -> None:
        pass


class Stream:
    """For httpcore, and so for httpx; httpcore2 has the same shape."""

    def read(self, _most_bytes: int, timeout: object = None) -> bytes:  # noqa: ARG002 - given by keyword
        return ANSWER

    def write(self, _data: bytes, timeout: object = None) -> None:
        pass

    def close(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return False if info == "is_readable" else None  # a connection that waits is readable when the peer closed it


class AsyncStream:
    def __init__(self, delay: Delay) -> None:
        self._delay = delay

    async def read(self, _most_bytes: int, timeout: object = None) -> bytes:  # noqa: ARG002 - httpcore's
        if self._delay.seconds:
            await asyncio.sleep(self._delay.seconds)
        return ANSWER

    async def write(self, _data: bytes, timeout: object = None) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return False if info == "is_readable" else None


class Backend:
    """What an httpcore pool connects with."""

    def connect_tcp(self, *_args: object, **_kwargs: object) -> Stream:
        return Stream()


class AsyncBackend:
    def __init__(self, delay: Delay) -> None:
        self._delay = delay

    async def connect_tcp(self, *_args: object, **_kwargs: object) -> AsyncStream:
        return AsyncStream(self._delay)


class Transport(asyncio.Transport):
    """For aiohttp: answers when the last byte of ``ASKED`` was written."""

    def __init__(self, protocol: asyncio.Protocol, loop: asyncio.AbstractEventLoop, delay: Delay) -> None:
        super().__init__()
        self._protocol, self._loop, self._delay = protocol, loop, delay
        self._closing = False

    def write(self, data: Any) -> None:
        if not bytes(data[-len(ASKED) :]).endswith(ASKED):
            return
        if self._delay.seconds:
            self._loop.call_later(self._delay.seconds, self._protocol.data_received, ANSWER)
        else:
            self._loop.call_soon(self._protocol.data_received, ANSWER)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def is_reading(self) -> bool:
        return not self._closing

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0
