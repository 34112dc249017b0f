"""An HTTP server of any kind under load, ended in some way; and what its workers called meanwhile.

Each request to it makes one call to the stand-in, which counts it under the pid of the worker; the answer names
that pid, too.  So of a worker that was killed it is known exactly how many of its calls may be missing: those that it
made and whose request was never answered.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable, NamedTuple

from examples.standins.server import Answer, Request
from tests.harness import wait_until
from tests.processes import support
from tests.processes.load import asking
from tests.processes.support import HELD
from tests.servers.cell import Counts
from tests.servers.folder import OUTPUT, Folder

WSGI, ASGI = "tests.servers.wsgi_app:app", "tests.servers.asgi_app:app"
WSGI_PATHS, ASGI_PATHS = ("/requests", "/urllib3"), ("/httpx", "/aiohttp")
"""Each path is a client of the application."""
CLIENTS = 6
LATENCY_S = 0.005
CALLS = 150
LIMIT_S = 90.0


class Api(support.Api):
    """The stand-in; it knows the pid of each caller."""

    def __init__(self) -> None:
        super().__init__(LATENCY_S)
        self.by_worker: Counter[int] = Counter()
        self.holding: list[int] = []
        """Who made a call that is never answered, in order."""

    async def _answer(self, request: Request) -> Answer:
        pid = int(request.query["pid"][0])
        self.by_worker[pid] += 1
        if request.path == HELD:
            self.holding.append(pid)
        return await super()._answer(request)


class Way(NamedTuple):
    """One way of running workers."""

    command: Callable[[Path], Sequence[str | Path]]
    """The server's arguments, given the cell's folder. It listens on 127.0.0.1."""
    listening: str
    """Its line that names the port, as a pattern."""
    paths: tuple[str, ...]
    """Where to ask."""
    workers: int = 3
    kills: int = 3
    executable: str = sys.executable
    environ: Mapping[str, str] = {}
    prepare: Callable[[Path], object] = lambda _folder: None
    """Called with the folder when everything is in it."""
    stop: Callable[[Server], object] = lambda server: server.signal(signal.SIGTERM)
    """Ends it gracefully."""
    codes: tuple[int, ...] = (0,)
    """How it may exit after that."""
    reload: Callable[[Server], object] = lambda server: server.signal(signal.SIGHUP)


class Server:
    """A running one, and requests to it."""

    def __init__(self, way: Way, folder: Folder, api: Api, process: subprocess.Popen[bytes], port: int) -> None:
        self.way, self.folder, self.api = way, folder, api
        self.answered: Counter[int] = Counter()
        """Requests answered with 200, by worker."""
        self.killed: set[int] = set()
        """Workers that were killed; some of their last calls may be missing."""
        self._process = process
        self._port = port

    def ask(self, path: str) -> None:
        """One request. It is no failure when its worker dies meanwhile, or the server does not listen any more."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                self.answered[int(body)] += 1
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def wait_for(self, seen: Callable[[], object], what: str) -> None:
        try:
            wait_until(seen, LIMIT_S, what)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.folder.output()}") from None

    def wait_for_workers(self, besides: frozenset[int] = frozenset()) -> None:
        """Until as many as there are meant to be have answered, not counting those of ``besides``."""
        self.wait_for(lambda: len(self.answered.keys() - besides) >= self.way.workers, "an answer of each worker")

    def wait_for_calls(self) -> None:
        """Until many more were made."""
        enough = self.api.calls + CALLS
        self.wait_for(lambda: self.api.calls >= enough, "calls")

    def hold(self) -> int:
        """Have a worker make a call that never ends. Gives its pid."""
        number = len(self.api.holding)
        threading.Thread(target=self.ask, args=(HELD,), daemon=True).start()
        self.wait_for(lambda: len(self.api.holding) > number, "a held call")
        return self.api.holding[number]

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        self.way.stop(self)
        self.wait_for_exit()

    def wait_for_exit(self) -> None:
        code = self._process.wait(LIMIT_S)
        assert code in self.way.codes, f"exit code {code}\n{self.folder.output()}"

    def counts(self) -> Counts:
        in_flight = sum(self.api.by_worker[pid] - self.answered[pid] for pid in self.killed)
        return self.folder.counts(self.api, in_flight)


def stop(server: Server) -> None:
    """Requests come until the server does not listen any more."""
    server.stop()


def reload(server: Server) -> None:
    """Every worker is replaced while requests come."""
    old = frozenset(server.answered)
    server.way.reload(server)
    server.wait_for_workers(besides=old)
    server.wait_for_calls()
    server.stop()


def kill(server: Server) -> None:
    """Workers that are amid a call, one after the other; each is replaced."""
    for _ in range(server.way.kills):
        victim = server.hold()
        server.killed.add(victim)
        before = frozenset(server.answered)
        os.kill(victim, signal.SIGKILL)
        server.wait_for(lambda: server.answered.keys() - before, "an answer of the next worker")  # noqa: B023 - right here
        server.wait_for_calls()
    server.stop()


def own_module(folder: Path, app: str) -> str:
    """A module in the cell's folder that gives ``app``, for servers that watch files."""
    module, _, name = app.partition(":")
    (folder / "changing.py").write_text(f"from {module} import {name}\n")
    return f"changing:{name}"


def change_module(server: Server) -> None:
    with (server.folder.path / "changing.py").open("a") as file:
        file.write("# changed\n")


def run(path: Path, *, way: Way, ending: Callable[[Server], None]) -> Counts:
    """The cell: all workers serve, then ``ending`` comes over them, under load all the time."""
    with Folder(path) as folder, Api() as api:
        with start(way, folder, api) as server:
            with asking(server.ask, way.paths, CLIENTS):
                server.wait_for_workers()
                server.wait_for_calls()
                ending(server)
        return server.counts()


@contextlib.contextmanager
def start(way: Way, folder: Folder, api: Api) -> Iterator[Server]:
    command = way.command(folder.path)
    way.prepare(folder.path)
    with folder.start(*command, executable=way.executable, **{"API_URL": api.url, **way.environ}) as process:
        port = functools.partial(_port, way, folder, process)
        yield Server(way, folder, api, process, wait_until(port, LIMIT_S, "the server to listen"))


def _port(way: Way, folder: Folder, process: subprocess.Popen[bytes]) -> int:
    assert process.poll() is None, folder.output()
    found = re.search(way.listening, (folder.path / OUTPUT).read_text(errors="replace"))
    return int(found[1]) if found else 0
