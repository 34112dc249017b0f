"""A program with worker processes: ``python pool_program.py KIND METHOD URL``. Prints how often its children called."""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import urllib3

import recost
from recost.workers import multiprocessing as ours

CHILDREN = 2
CALLS = 12


def call(url: str) -> None:
    # Not urllib3.request(): its connections are the process's, and two forked children would talk over the same one.
    with urllib3.PoolManager(retries=False) as pools:
        assert pools.request("GET", url, timeout=60).status == 200


def in_pool(pool: Any, url: str) -> int:
    """For every kind of pool. Its children end of themselves, with all that they began."""
    list(pool.map(call, [url] * CALLS))
    if hasattr(pool, "shutdown"):
        pool.shutdown()
    else:
        pool.close()
        pool.join()
    return CALLS


def in_processes(context: Any, url: str, ending: str) -> int:
    """Children that end as ``ending`` says, right after their call has returned."""
    children = [context.Process(target=call_and_end, args=(ours.initializer, url, ending)) for _ in range(CHILDREN)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == {"_exit": 7, "SIGTERM": -15, "SIGKILL": -9}[ending]
    return CHILDREN


def call_and_end(start: ours.Initializer, url: str, ending: str) -> None:
    start()
    call(url)
    if ending == "_exit":
        os._exit(7)
    os.kill(os.getpid(), signal.Signals[ending])


def own(url: str) -> None:
    """A program's initializer: it makes a call, which is captured only when ours has run before."""
    call(url)


def run(kind: str, context: Any, url: str) -> int:
    futures = functools.partial(concurrent.futures.ProcessPoolExecutor, CHILDREN, mp_context=context)
    pools: dict[str, Callable[[], object]] = {
        "Pool": lambda: context.Pool(CHILDREN),
        "Pool(initializer=)": lambda: context.Pool(CHILDREN, initializer=ours.initializer),
        "ProcessPoolExecutor": futures,
        "ProcessPoolExecutor(initializer=)": lambda: futures(initializer=ours.initializer),
        "recost Pool": lambda: ours.Pool(CHILDREN, context=context),
        "recost Pool(own initializer)": lambda: ours.Pool(CHILDREN, own, (url,), context=context),
        "recost ProcessPoolExecutor": lambda: ours.ProcessPoolExecutor(CHILDREN, context),
    }
    if kind not in pools:
        return in_processes(context, url, kind)
    return in_pool(pools[kind](), url) + (CHILDREN if "own" in kind else 0)


if __name__ == "__main__":
    recost.init(project_id="pool", environment="of the parent")
    call(f"{sys.argv[3]}/parent")
    print(run(sys.argv[1], multiprocessing.get_context(sys.argv[2]), f"{sys.argv[3]}/child"))
