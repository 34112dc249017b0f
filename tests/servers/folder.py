"""A cell's folder: where recost works for it, where its workers say that they do, and what arrived.

A worker makes a file named after its pid when it begins to call and goes on until there is a file ``stop``: this works
between processes of any origin, also when all of their descriptors were closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import requests

from tests import leaks
from tests.environment import clean
from tests.harness import wait_until
from tests.processes.support import LOOK_S, ROOT, Api
from tests.servers.cell import Counts

OUTPUT = "output.txt"
NAME = "CELL_FOLDER"
"""Environment variable: the folder, for the processes of the cell."""
OF_THE_RUN = ("PYTEST_", "COV_")
LIMIT_S = 60.0
"""Enough where many share two cores."""


class Folder:
    """The side of whoever runs the cell. A context manager: what its processes left running at the end is ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.workers_path.mkdir()
        places = {name: path / name for name in ("run", "state", "local", "home")}
        for place in places.values():
            place.mkdir(mode=0o700)
        self._local = places["local"]
        self.environ = {name: value for name, value in clean(os.environ).items() if not name.startswith(OF_THE_RUN)}
        self.environ.update(
            PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "collector")]),
            HOME=str(places["home"]),
            RECOST_RUNTIME_DIR=str(places["run"]),
            RECOST_STATE_DIR=str(places["state"]),
            RECOST_LOCAL_DIR=str(places["local"]),
            RECOST_COLLECTOR_IDLE_EXIT_S="0.3",
        )
        self.environ[NAME] = str(path)

    @property
    def workers_path(self) -> Path:
        return self.path / "workers"

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def start(
        self, *command: str | Path, executable: str = sys.executable, **environ: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A Python, unless said otherwise. Its output goes to a file, for a daemon would keep a pipe open."""
        with (self.path / OUTPUT).open("ab") as output:
            process = subprocess.Popen(
                [executable, *map(str, command)],
                cwd=self.path,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield process
        finally:
            process.kill()  # harmless after it was waited for
            process.wait()

    def wait_for_end(self, process: subprocess.Popen[bytes], code: int = 0) -> None:
        assert process.wait(LIMIT_S) == code, self.output()

    def output(self) -> str:
        file = self.path / OUTPUT
        return file.read_text(errors="replace")[-4000:] if file.exists() else ""

    def describe(self) -> str:
        """For a cell that hangs: who is there, waiting in which call of the system, and what was said."""
        lines = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                command, call = (Path(f"/proc/{pid}/{name}").read_text() for name in ("cmdline", "syscall"))
                lines.append(f"{pid} in {call.split()[0]}: {command.replace(chr(0), ' ')}")
        return "\n".join([*lines, self.output()])

    def workers(self) -> set[int]:
        """Pids of all that have begun to call so far."""
        return {int(file.name) for file in self.workers_path.iterdir()}

    def wait_for_workers(self, count: int) -> set[int]:
        def look() -> set[int] | None:
            found = self.workers()
            return found if len(found) >= count else None

        try:
            return wait_until(look, LIMIT_S, f"{count} workers")
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.describe()}") from None

    def stop(self) -> None:
        """Have every worker end its work."""
        (self.path / "stop").touch()

    def processes(self) -> list[int]:
        """Pids of all that is alive of this cell: servers, workers, daemons, collectors."""
        mark = os.fsencode(str(self.path))
        found = []
        for name in os.listdir(leaks.PROC):
            with contextlib.suppress(OSError):  # no process, gone by now, or another user's
                if name.isdigit() and int(name) != os.getpid() and mark in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
        return found

    def delivered(self) -> tuple[int, int]:
        """(calls, those of them that had no answer), of all windows.

        Once everything has ended, the collector too: nothing is called or written after.  Every answer is a 200.
        """
        wait_until(lambda: not self.processes(), LIMIT_S, "every process of the cell to end", LOOK_S)
        assert not list((self.path / "run").glob("ring-*")), "rings are left"
        files = [self._local / "default.1.jsonl", self._local / "default.jsonl"]
        windows = [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]
        metrics = [metric for window in windows for metric in window["metrics"]]
        return sum(metric["requestCount"] for metric in metrics), sum(metric["errorCount"] for metric in metrics)

    def counts(self, api: Api, in_flight: int = 0) -> Counts:
        delivered, given_up = self.delivered()  # first: until then some may still be made
        return Counts(api.calls, delivered, in_flight, given_up)


def announce() -> None:
    """Say that this process works."""
    (Path(os.environ[NAME]) / "workers" / str(os.getpid())).touch()


def is_stopped() -> bool:
    return (Path(os.environ[NAME]) / "stop").exists()


def call(url: str, times: int = 1) -> None:
    """Calls that return before this does, by two clients in turn."""
    # without verify=False it reads a bundle of certificates each time
    with requests.Session() as session, httpx.Client(trust_env=False, verify=False) as client:
        session.trust_env = False
        for turn in range(times):
            if turn % 2:
                assert client.get(url, timeout=20).status_code == 200
            else:
                assert session.get(url, timeout=20).status_code == 200


def work(url: str) -> int:
    """What a worker does: calls, one after the other, until it is told to stop. Gives its pid."""
    announce()
    while not is_stopped():
        call(url, 4)
    return os.getpid()
