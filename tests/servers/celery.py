"""Celery's prefork pool: a real worker, with a folder for its broker."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Callable, NamedTuple

from celery import Celery

from tests.celery_broker import broker
from tests.harness import wait_until
from tests.processes.support import Api
from tests.servers.cell import Cell, Counts
from tests.servers.folder import LIMIT_S, Folder

CHILDREN = 3
TASKS = 12
CALLS = 5
LATENCY_S = 0.005
LIMIT = 15
"""Of a task, in seconds. Its calls before the one that is never answered need a part of the first."""


class Worker(NamedTuple):
    """A running worker, and whoever sends it tasks."""

    folder: Folder
    api: Api
    process: Popen[bytes]
    sender: Celery
    called_at_start: int
    """Calls that the app makes when it is imported."""

    def send(self, task: str, *arguments: object, times: int = 1) -> None:
        for _ in range(times):
            self.sender.send_task(task, (self.api.url, *arguments))

    def wait_for_calls(self, count: int) -> None:
        """So many by tasks."""
        wait_until(lambda: self.api.calls - self.called_at_start >= count, LIMIT_S, f"{count} calls")

    def shut_down(self) -> None:
        """Warm: what a task is at ends before."""
        self.process.terminate()
        self.folder.wait_for_end(self.process)


@contextmanager
def worker(folder: Folder, api: Api, init: str, *options: str) -> Iterator[Worker]:
    with Celery("sender") as sender:
        sender.conf.update(broker(folder.path))
        command = shutil.which("celery", path=Path(sys.executable).parent)
        assert command is not None, "celery is not installed beside this Python"
        arguments = ["-A", "tests.servers.celery_app", "worker", f"--concurrency={CHILDREN}", "--pool=prefork"]
        quiet = ["--loglevel=warning", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        with folder.start(command, *arguments, *quiet, *options, INIT=init, API_URL=api.url) as process:
            yield Worker(folder, api, process, sender, int(init == "import"))


def graceful(worker: Worker) -> int:
    worker.send("work", times=CHILDREN)
    worker.folder.wait_for_workers(CHILDREN)
    worker.wait_for_calls(CALLS * TASKS)
    worker.folder.stop()
    worker.shut_down()
    return 0


def kill(worker: Worker) -> int:
    """A child amid its calls; the pool replaces it."""
    worker.send("work", times=CHILDREN)
    first = worker.folder.wait_for_workers(CHILDREN)
    worker.wait_for_calls(CALLS * TASKS)
    os.kill(min(first), signal.SIGKILL)
    worker.send("work")
    worker.folder.wait_for_workers(CHILDREN + 1)
    worker.folder.stop()
    worker.shut_down()
    return 1


def replace_children(worker: Worker) -> int:
    """By ``--max-tasks-per-child=2``."""
    worker.send("call", CALLS, times=TASKS)
    worker.wait_for_calls(CALLS * TASKS)
    worker.folder.wait_for_workers(TASKS // 2)
    worker.shut_down()
    return 0


def soften(worker: Worker) -> int:
    """The soft limit is an exception within a call, which counts as one that failed."""
    worker.send("hang", CALLS, times=CHILDREN)
    worker.wait_for_calls((CALLS + 2) * CHILDREN)
    worker.shut_down()
    return 0


def harden(worker: Worker) -> int:
    """At the hard limit the pool kills the child amid its call."""
    worker.send("hang", CALLS, times=CHILDREN)
    wait_until(lambda: worker.api.held == CHILDREN, LIMIT_S, "a held call of each child")
    worker.send("call", CALLS, times=CHILDREN)
    worker.wait_for_calls((CALLS + 1) * CHILDREN + CALLS * CHILDREN)
    worker.shut_down()
    return CHILDREN


def restart_pool(worker: Worker) -> int:
    """All children are replaced, by a command that is broadcast."""
    worker.send("call", CALLS, times=TASKS)
    worker.wait_for_calls(CALLS * TASKS)
    first = worker.folder.workers()
    assert worker.sender.control.pool_restart(reply=True, timeout=20, limit=1), worker.folder.output()
    worker.send("call", CALLS, times=TASKS)
    worker.wait_for_calls(2 * CALLS * TASKS)
    assert worker.folder.workers() - first, "no child is new"
    worker.shut_down()
    return 0


def reload(worker: Worker) -> int:
    """SIGHUP: the worker ends warmly and replaces itself, by exec in an exit hook that runs before ours."""
    worker.send("call", CALLS, times=TASKS)
    worker.wait_for_calls(CALLS * TASKS)
    first = worker.folder.workers()
    worker.process.send_signal(signal.SIGHUP)
    worker.send("call", CALLS, times=TASKS)
    worker.wait_for_calls(2 * CALLS * TASKS)
    assert worker.folder.workers() - first, "no child is new"
    worker.shut_down()
    return 0


CASES: list[tuple[str, Callable[[Worker], int], tuple[str, ...]]] = [
    ("graceful", graceful, ()),
    ("SIGKILL", kill, ()),
    ("max-tasks-per-child", replace_children, ("--max-tasks-per-child=2",)),
    ("soft time limit", soften, (f"--soft-time-limit={LIMIT}",)),
    ("hard time limit", harden, (f"--time-limit={LIMIT}",)),
    ("reload (SIGHUP)", reload, ()),
    ("pool_restart", restart_pool, ()),
]


def run(path: Path, *, init: str, case: Callable[[Worker], int], options: tuple[str, ...]) -> Counts:
    with Folder(path) as folder, Api(LATENCY_S) as api:
        with worker(folder, api, init, *options) as running:
            in_flight = case(running)
        return folder.counts(api, in_flight)


CELLS = [
    Cell(
        "celery prefork",
        mode,
        ending,
        functools.partial(run, init=init, case=case, options=options),
        is_fast=(init, ending) == ("import", "SIGKILL"),
    )
    for init, mode in (("import", "init() in the app's module"), ("child", "init() in worker_process_init"))
    for ending, case, options in CASES
]
