"""``python -m benchmarks.caller``: a process that makes calls when told so, with one product switched on or none.

Takes the product's name ("" for none), the sink's URL and the server's; then a JSON array per line on stdin, a JSON
answer per line on stdout:

    ["time", client, wire, calls, cpu]  what each took, ns, all of them on that processor
    ["together", client, calls]         so many at once, on a stubbed wire: null
    ["flush"]                           calls that the product itself has counted, or null: the sink knows

It ends with its stdin, at once: what is not flushed by then is nobody's.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
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

    def _time(self, client_name: str, wire: str, calls: int, cpu: int) -> list[float]:
        client = self._client(client_name, wire)
        with _on(cpu):
            self._block(client, WARM_UP)
            _, empty_ns = self._block(client, 0)
            took_ns, whole_ns = self._block(client, calls)
        # What the product does with them when the block ends is theirs, too; what it does with an empty one is not.
        afterwards_ns = (whole_ns - sum(took_ns) - empty_ns) / calls
        return [call_ns + afterwards_ns for call_ns in took_ns]

    def _block(self, client: Client, calls: int) -> tuple[list[int], int]:
        """What each took, and the whole."""
        began_ns = time.perf_counter_ns()
        with self._switched.around():
            took_ns = client.repeat(calls)
        return took_ns, time.perf_counter_ns() - began_ns

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


@contextlib.contextmanager
def _on(cpu: int) -> Iterator[None]:
    """This thread runs on one processor, and the product's own threads where they were."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def main(product_name: str, sink_url: str, server_url: str) -> None:
    told, sys.stdout = sys.stdout, sys.stderr  # what a product prints is no answer
    product = BY_NAME[product_name or CONTROL]
    caller = Caller(product.switch_on(sink_url), server_url)
    for line in sys.stdin:
        print(json.dumps(caller.answer(*json.loads(line))), file=told, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
