"""``multiprocessing`` and ``concurrent.futures``, with each way of starting children.

Forked children inherit the parent's ``init()``.  Spawned ones, and those of a fork server, get theirs by
``recost.workers.multiprocessing``, or because their main module calls ``init()`` when it is imported again.
"""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import NamedTuple

from tests.harness import wait_until
from tests.processes.support import Api
from tests.servers.cell import Cell, Counts
from tests.servers.folder import LIMIT_S, Folder

PROGRAM = "tests.servers.pool_program"
CHILDREN = 3
CALLS = 60
LATENCY_S = 0.005


class Kind(NamedTuple):
    server: str
    name: str
    """As the program knows it."""
    methods: tuple[str, ...]
    init: str = "main"
    """Where ``init()`` is called: under ``if __name__ == "__main__"``, at import, or by the fork server too."""
    killed: int = 1
    """How many children die with one that is killed."""


SENT = ("spawn", "forkserver")
KINDS = [
    Kind("multiprocessing.Process", "Process", ("fork",)),
    Kind("multiprocessing.Process", "Process", SENT, init="import"),
    Kind("multiprocessing.Process", "Process, Initializer(target)", SENT),
    Kind("multiprocessing.Process", "Process", ("forkserver",), init="preload"),
    Kind("multiprocessing.Pool", "Pool", ("fork",)),
    Kind("multiprocessing.Pool", "Pool", SENT, init="import"),
    Kind("multiprocessing.Pool", "Pool, initializer=", SENT),
    Kind("multiprocessing.Pool", "recost's Pool", ("fork", *SENT)),
    Kind("ProcessPoolExecutor", "ProcessPoolExecutor", ("fork",), killed=CHILDREN),
    Kind("ProcessPoolExecutor", "ProcessPoolExecutor", SENT, init="import", killed=CHILDREN),
    Kind("ProcessPoolExecutor", "ProcessPoolExecutor, initializer=", SENT, killed=CHILDREN),
    Kind("ProcessPoolExecutor", "recost's ProcessPoolExecutor", ("fork", *SENT), killed=CHILDREN),
]


def run(path: Path, *, kind: Kind, method: str, spare: int) -> Counts:
    """Children call all the time; with ``spare`` one is killed amid its calls, and the program replaces it."""
    with Folder(path) as folder, Api(LATENCY_S) as api:
        with folder.start("-m", PROGRAM, kind.name, method, api.url, str(spare), INIT=kind.init) as process:
            first = folder.wait_for_workers(CHILDREN)
            wait_until(lambda: api.calls >= CALLS, LIMIT_S, "calls")
            if spare:
                os.kill(min(first), signal.SIGKILL)
                folder.wait_for_workers(CHILDREN + kind.killed)
                enough = api.calls + CALLS
                wait_until(lambda: api.calls >= enough, LIMIT_S, "calls after the kill")
            folder.stop()
            folder.wait_for_end(process)
        return folder.counts(api, kind.killed * spare)


def mode(kind: Kind, method: str) -> str:
    how = "" if kind.name in {"Process", "Pool", "ProcessPoolExecutor"} else kind.name.rpartition(", ")[2]
    where = {"main": how, "import": "init() at import", "preload": "init() in a preloaded module"}[kind.init]
    return f"{method}, {where}" if where else method


CELLS = [
    Cell(
        kind.server,
        mode(kind, method),
        ending,
        functools.partial(run, kind=kind, method=method, spare=spare),
        is_fast=(kind.name, method, spare) in {("Process", "fork", 1), ("recost's ProcessPoolExecutor", "spawn", 0)},
    )
    for kind in KINDS
    for method in kind.methods
    for ending, spare in (("graceful", 0), ("SIGKILL", 1))
]
