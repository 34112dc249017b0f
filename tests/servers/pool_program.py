"""A program with worker processes: ``python -m tests.servers.pool_program KIND METHOD URL SPARE``.

``SPARE`` workers are expected to die; their work is done again.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import recost
from recost.workers import multiprocessing as pools
from tests.harness import POLL_S
from tests.servers.folder import call, work

CHILDREN = 3

if os.environ["INIT"] == "import":
    recost.init()


def in_processes(context: Any, url: str, spare: int, target: Callable[..., object]) -> None:
    children = [context.Process(target=target, args=(url,)) for _ in range(CHILDREN)]
    for child in children:
        child.start()
    for _ in range(spare):
        multiprocessing.connection.wait([child.sentinel for child in children])
        children.append(context.Process(target=target, args=(url,)))
        children[-1].start()
    for child in children:
        child.join()
    assert sorted(child.exitcode for child in children) == [-9] * spare + [0] * CHILDREN


def in_pool(pool: Any, url: str, spare: int) -> None:
    """What a killed child was at is never answered, so the spare work is there from the start."""
    results = [pool.apply_async(work, (url,)) for _ in range(CHILDREN + spare)]
    while sum(result.ready() for result in results) < CHILDREN:
        time.sleep(POLL_S)
    assert [result.successful() for result in results if result.ready()] == [True] * CHILDREN
    if spare:
        pool.terminate()
    else:
        pool.close()
    pool.join()


def in_executor(make: Callable[[], concurrent.futures.ProcessPoolExecutor], url: str, spare: int) -> None:
    """With one child killed the executor ends all of them: another is made."""
    for _ in range(spare):
        with make() as executor:
            try:
                list(executor.map(work, [url] * CHILDREN))
            except BrokenProcessPool:
                continue
        raise AssertionError("no child was killed")
    with make() as executor:
        list(executor.map(work, [url] * CHILDREN))


def run(kind: str, context: Any, url: str, spare: int) -> None:
    runs: dict[str, Callable[[], None]] = {
        "Process": lambda: in_processes(context, url, spare, work),
        "Process, Initializer(target)": lambda: in_processes(context, url, spare, pools.Initializer(work)),
        "Pool": lambda: in_pool(context.Pool(CHILDREN), url, spare),
        "Pool, initializer=": lambda: in_pool(context.Pool(CHILDREN, pools.initializer), url, spare),
        "recost's Pool": lambda: in_pool(pools.Pool(CHILDREN, context=context), url, spare),
        "ProcessPoolExecutor": lambda: in_executor(
            lambda: concurrent.futures.ProcessPoolExecutor(CHILDREN, context), url, spare
        ),
        "ProcessPoolExecutor, initializer=": lambda: in_executor(
            lambda: concurrent.futures.ProcessPoolExecutor(CHILDREN, context, pools.initializer), url, spare
        ),
        "recost's ProcessPoolExecutor": lambda: in_executor(
            lambda: pools.ProcessPoolExecutor(CHILDREN, context), url, spare
        ),
    }
    runs[kind]()


if __name__ == "__main__":
    if os.environ["INIT"] == "preload":
        multiprocessing.set_forkserver_preload(["tests.servers.pool_preload"])
    if os.environ["INIT"] != "import":
        recost.init()
    call(sys.argv[3])  # so there is a ring, a watcher and a collector before any child
    run(sys.argv[1], multiprocessing.get_context(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
