"""Real programs, the API that they call, and what arrived in their files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import urllib3

import recost
from examples.standins.server import Answer, Request, StandIn
from recost.leader import Leader, read_leader
from tests import leaks
from tests.harness import END_S, PATIENCE_S, start_child, wait_for_child, wait_until

ROOT = Path(__file__).parents[2]
HELD = "/held"
LOOK_S = 0.05
"""Between two looks at every process of the machine."""


class Api(StandIn):
    """Answers each call and counts it when it has arrived; ``/held`` is never answered."""

    def __init__(self, latency_s: float = 0.0) -> None:
        super().__init__(self._answer, [("127.0.0.2", 0)])
        self._latency_s = latency_s
        self.calls = 0
        self.held = 0

    @property
    def url(self) -> str:
        host, port = self.addresses[0]
        return f"http://{host}:{port}"

    async def _answer(self, request: Request) -> Answer:
        self.calls += 1
        if request.path == HELD:
            self.held += 1
            await asyncio.Event().wait()
        await asyncio.sleep(self._latency_s)
        return Answer(body=b"ok")


class Mail:
    """Bytes from one forked process to another; made before the fork, and usable on both sides."""

    def __init__(self) -> None:
        self._take, self._put = os.pipe()

    def put(self, data: bytes = b"x") -> None:
        os.write(self._put, data)

    @property
    def is_there(self) -> bool:
        return bool(select.select([self._take], [], [], 0)[0])

    def wait(self, timeout_s: float = PATIENCE_S) -> None:
        """Until something was put, and leave it there: any number of processes may wait for the same."""
        wait_until(lambda: self.is_there, timeout_s, "mail")

    def take(self) -> bytes:
        """What was put, once it is there."""
        self.wait()
        return os.read(self._take, 1 << 16)

    def take_lines(self, count: int) -> list[bytes]:
        """So many lines, from whoever puts them."""
        text = b""
        while text.count(b"\n") < count:
            text += self.take()
        return text.splitlines()

    def __enter__(self) -> Mail:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._take)
        os.close(self._put)


def call(url: str, times: int = 1) -> None:
    """Calls that return before this does."""
    with urllib3.PoolManager(retries=False) as pools:
        for _ in range(times):
            assert pools.request("GET", url, timeout=PATIENCE_S).status == 200


@contextlib.contextmanager
def calling(url: str, workers: int, **settings: Any) -> Iterator[list[int]]:
    """Forked workers that call as long as the block lasts, by pid; then each ends without a word."""
    with Mail() as stop:

        def work() -> None:
            recost.init(**settings)
            while not stop.is_there:
                call(url, 10)
            os._exit(0)

        pids = [start_child(work) for _ in range(workers)]
        try:
            yield pids
        finally:
            stop.put()
            codes = [wait_for_child(pid) for pid in pids]
        assert codes == [0] * workers


@contextlib.contextmanager
def program(*arguments: str | Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A Python running ``arguments``, with its output as text. One that the test did not end is killed."""
    # From 3.12 on a fork beside the watcher thread warns, and forks are what some programs are about.
    command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", *map(str, arguments)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "collector")])
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()  # harmless after it was waited for
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def run_program(*arguments: str | Path, code: int = 0, **environ: str) -> str:
    """The output of a program that is waited for."""
    with program(*arguments, **environ) as process:
        output, _ = process.communicate(timeout=END_S)
        assert process.returncode == code, output
        return output


def wait_for_line(stream: IO[str] | None, pattern: str) -> re.Match[str]:
    """Read until a line has ``pattern`` in it, as where a server says its address; fails with all that was said."""
    assert stream is not None
    said = ""
    for line in iter(stream.readline, ""):
        said += line
        if found := re.search(pattern, line):
            return found
    raise AssertionError(said)


def windows(project: str = "default") -> list[dict[str, Any]]:
    """Every window in the project's files, the rotated one first. Lines are whole, or this fails."""
    folder = Path(os.environ["RECOST_LOCAL_DIR"])
    files = [folder / f"{project}.1.jsonl", folder / f"{project}.jsonl"]
    return [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]


def delivered(project: str = "default") -> int:
    """Calls in all windows of the project."""
    return sum(counts(project).values())


def counts(project: str = "default") -> Counter[str]:
    """The same, by endpoint."""
    found: Counter[str] = Counter()
    for window in windows(project):
        for metric in window["metrics"]:
            found[metric["endpoint"]] += metric["requestCount"]
    return found


def tags(project: str = "default") -> Counter[str]:
    """Calls by tag, in all windows of the project."""
    return tags_in(windows(project))


def tags_in(found: Iterable[dict[str, Any]]) -> Counter[str]:
    """The same, of these windows; each says by its version whether it has tags."""
    counts: Counter[str] = Counter()
    for window in found:
        assert window["protocolVersion"] == ("1.1" if "tagMetrics" in window else "1.0")
        for entry in window.get("tagMetrics", []):
            counts[entry["featureTag"]] += entry["requestCount"]
    return counts


def wait_until_delivered(calls: int, project: str = "default") -> None:
    """Wait for ``calls``, and then for the collector to leave: nothing comes after that, and it must be exact."""
    wait_until(lambda: delivered(project) >= calls, what=f"{calls} calls in {project}.jsonl")
    wait_until_idle()
    assert delivered(project) == calls


def wait_until_idle() -> None:
    """Wait for every ring of this test to be collected, and for the collector to have left after it."""
    wait_until(lambda: not rings(), what="every ring to be collected")
    wait_until(lambda: not rings() and not collectors(), what="the collector to leave", poll_s=LOOK_S)


def collectors() -> list[int]:
    """The pids of the collectors of this test's runtime directory, those that start up too."""
    return leaks.commanded(f"launch.py {os.environ['RECOST_RUNTIME_DIR']}")


def rings() -> list[Path]:
    return list(Path(os.environ["RECOST_RUNTIME_DIR"]).glob("ring-*"))


def leader() -> Leader | None:
    """Who leads now, if somebody does."""
    found = read_leader(os.environ["RECOST_RUNTIME_DIR"])
    return found if found is not None and found.is_alive() else None


def wait_for_leader(*, other_than: Leader | None = None, timeout_s: float = PATIENCE_S) -> Leader:
    def look() -> Leader | None:
        found = leader()
        return None if found is None or found == other_than else found

    return wait_until(look, timeout_s, "a leader")


def kill_leader(number: int = signal.SIGKILL) -> Leader:
    """Send a signal to the collector of this test; gives whom."""
    found = wait_for_leader()
    assert found.kind == "spawned"
    os.kill(found.pid, number)
    return found


def log_lines(word: str) -> list[str]:
    """Lines of the collector's log with ``word`` in them."""
    file = Path(os.environ["RECOST_STATE_DIR"]) / "collector.log"
    return [line for line in file.read_text().splitlines() if word in line] if file.exists() else []
