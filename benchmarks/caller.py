"""``python -m benchmarks.caller``: a process that makes calls when told so, with one product switched on or none.

Takes the product's name ("" for none), the sink's URL and the server's; then a JSON array per line on stdin, a JSON
answer per line on stdout:

    ["time", client, wire, calls]   [wall, thread CPU, process CPU, interruptions] of such a block, ns for one call;
                                    what a block without calls takes is taken off
    ["together", client, calls]     so many at once, on a stubbed wire: null
    ["flush"]                       calls that the product itself has counted, or null: the sink knows

It ends with its stdin, at once: what is not flushed by then is nobody's.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, Optional

from benchmarks.clients import Client, open_client
from benchmarks.products import BY_NAME, CONTROL, Switched

WARM_UP = 3
"""Calls of each block that are not timed: the other process had its turn, and the caches are its."""
STUBBED, LOOPBACK = "stubbed", "loopback"


class Caller:
    def __init__(self, switched: Switched, server_url: str) -> None:
        self._switched = switched
        self._server_url = server_url
        self._clients: dict[tuple[str, str], Client] = {}
        self._crowded: list[Client] = []

    def answer(self, what: str, *arguments: Any) -> Any:
        answers: dict[str, Callable[..., Any]] = {
            "time": self._time,
            "together": self._together,
            "flush": self._switched.flush,
        }
        return answers[what](*arguments)

    def _time(self, client_name: str, wire: str, calls: int) -> list[float]:
        client = self._client(client_name, wire)
        self._block(client, WARM_UP)
        empty, interrupted = self._block(client, 0), _interruptions()
        block = self._block(client, calls)
        return [
            *((took_ns - empty_ns) / calls for took_ns, empty_ns in zip(block, empty)),
            _interruptions() - interrupted,
        ]

    def _block(self, client: Client, calls: int) -> list[int]:
        """What it took by each of the clocks."""
        before = _clocks()
        with self._switched.around():
            client.repeat(calls)
        return [after - began for after, began in zip(_clocks(), before)]

    def _together(self, client_name: str, calls: int) -> None:
        client = open_client(client_name, None)  # of its own: hundreds of open connections slow its pool down
        self._crowded.append(client)  # aiohttp complains of a session that is collected while open
        assert client.together is not None
        with self._switched.around():
            client.together(calls)

    def _client(self, name: str, wire: str) -> Client:
        client = self._clients.get((name, wire))
        if client is None:
            self._switched.also(name)
            client = open_client(name, self._loopback_url if wire == LOOPBACK else None)
            self._clients[name, wire] = client
        return client

    @property
    def _loopback_url(self) -> Optional[str]:
        return f"{self._server_url}/v1/chat/completions"


def _clocks() -> tuple[int, int, int]:
    return time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()


def _interruptions() -> int:
    """How often the kernel has taken the processor away from this thread."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def main(product_name: str, sink_url: str, server_url: str) -> None:
    told, sys.stdout = sys.stdout, sys.stderr  # what a product prints is no answer
    product = BY_NAME[product_name or CONTROL]
    caller = Caller(product.switch_on(sink_url), server_url)
    for line in sys.stdin:
        print(json.dumps(caller.answer(*json.loads(line))), file=told, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
