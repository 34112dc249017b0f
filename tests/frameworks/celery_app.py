"""Tasks that call the API and tell what recost takes for their origin; a folder is broker and result store."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import urllib3
from billiard.util import set_pdeathsig
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_process_init

from recost.frameworks import celery as recost_celery
from recost.tags import current_origin
from tests.celery_broker import broker

API = os.environ.get("API_URL", "")
FOLDER = Path(os.environ["CELERY_FOLDER"])

recost_celery.connect(route_tags=True, flush_interval_ms=60_000)

app = Celery("shop", backend=f"file://{FOLDER}/results")
app.conf.update(broker(FOLDER))
app.conf.broker_connection_retry_on_startup = False
app.conf.worker_proc_alive_timeout = 60


@worker_process_init.connect
def outlive_the_thread_that_forked(**_: object) -> None:
    """Without this, and without recost as well, some warm shutdowns of this worker never end.

    Celery has the kernel kill a child with its parent, which to the kernel is the thread that forked.  A broker without
    an event loop, as this folder, means a pool with threads: one of them replaces children, and ends as soon as the
    pool is closed.  A replaced child that has not left by then is killed, often with the lock of the pool's queue, and
    the worker waits for that lock at its exit.
    """
    with contextlib.suppress(OSError):  # there is no such thing but on Linux
        set_pdeathsig(0)


def call(path: str) -> None:
    with urllib3.PoolManager(retries=False) as pools:
        assert pools.request("GET", API + path, timeout=60).status == 200


@app.task(name="shop.charge")
def charge() -> tuple[int, str]:
    call("/charge")
    return os.getpid(), current_origin()


@app.task(name="shop.report")
def report() -> list[Any]:
    """One task inside another, in the same process."""
    before = current_origin()
    inner = charge.apply().get(disable_sync_subtasks=False)[1]
    call("/report")
    return [before, inner, current_origin()]


@app.task(name="shop.wait")
def wait() -> str:
    """Its call is cut short by what a soft time limit sends."""
    try:
        call("/held")
    except SoftTimeLimitExceeded:
        return current_origin()
    return "it came back"


@app.task(name="shop.hang", time_limit=10)
def hang() -> None:
    """Its process is killed after one call and in the middle of another."""
    call("/hang")
    call("/held")


@app.task(name="shop.look")
def look() -> str:
    """What a task finds that is none of recost's."""
    return current_origin()
