"""A Celery app whose tasks call the API. Its broker is a folder.

``INIT`` says where it calls ``init()``: at import, so before the fork, or in each child.
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_process_init

import recost
from tests.celery_broker import broker
from tests.processes.support import HELD
from tests.servers.folder import NAME, announce, call, work

app = Celery("cells")
app.conf.update(
    **broker(Path(os.environ[NAME])),
    worker_prefetch_multiplier=1,
    worker_pool_restarts=True,
    task_ignore_result=True,
)

if os.environ["INIT"] == "import":
    recost.init()
    call(os.environ["API_URL"])  # so there is a ring, a watcher and a collector before any child
else:

    @worker_process_init.connect
    def _init(**_: object) -> None:
        recost.init()


@app.task(name="work")
def _work(url: str) -> None:
    work(url)


@app.task(name="call")
def _call(url: str, times: int) -> None:
    announce()
    call(url, times)


@app.task(name="hang")
def _hang(url: str, times: int) -> None:
    """Meets its time limit during a call that is never answered, and makes one more where it still can."""
    announce()
    call(url, times)
    try:
        call(url + HELD)
    except SoftTimeLimitExceeded:
        call(url)
