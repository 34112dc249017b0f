"""Celery's real worker, with a folder for a broker: every call delivered, with the name of its task."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import TimeLimitExceeded
from celery.result import AsyncResult

from tests.celery_broker import broker
from tests.harness import END_S, PATIENCE_S, wait_until
from tests.processes.support import Api, counts, program, tags, wait_for_line, wait_until_idle

pytestmark = pytest.mark.timeout(240)


class Worker:
    """A running worker, and tasks for it."""

    def __init__(self, producer: Celery) -> None:
        self._producer = producer

    def run(self, *names: str) -> list[Any]:
        """The results, once they are all there."""
        return self.results(self.send(*names))

    def send(self, *names: str) -> list[AsyncResult[Any]]:
        return [self._producer.send_task(name) for name in names]

    def results(self, sent: list[AsyncResult[Any]]) -> list[Any]:
        return [result.get(timeout=PATIENCE_S, interval=0.05) for result in sent]


@contextlib.contextmanager
def worker(folder: Path, api: Api, *options: str) -> Iterator[Worker]:
    """Stopped as a deployment does it, once the block has ended: with the tasks that run, finished."""
    (folder / "results").mkdir()
    as_root = ("-W", "ignore:You're running the worker")
    command = (*as_root, "-m", "celery", "-A", "tests.frameworks.celery_app", "worker", "--loglevel", "INFO", *options)
    with program(*command, API_URL=api.url, CELERY_FOLDER=str(folder)) as process:
        wait_for_line(process.stdout, r" ready\.")
        with producer(folder) as app:
            yield Worker(app)
        process.terminate()
        output, _ = process.communicate(timeout=END_S)
        assert process.returncode == 0, output


@contextlib.contextmanager
def producer(folder: Path) -> Iterator[Celery]:
    app = Celery("producer", backend=f"file://{folder}/results", set_as_current=False)
    app.conf.update(broker(folder))
    with app:
        yield app


def test_prefork_children_deliver_every_call_and_say_which_task_made_it(api: Api, tmp_path: Path):
    """Also those that are replaced after a few tasks, and a task inside another."""
    with worker(tmp_path, api, "-P", "prefork", "-c", "2", "--max-tasks-per-child", "3") as running:
        told = running.run(*["shop.charge"] * 8)
        assert {origin for _, origin in told} == {"shop.charge"}
        assert len({pid for pid, _ in told}) > 2
        assert running.run("shop.report") == [["shop.report", "shop.charge", "shop.report"]]
    assert counts()["/report"] == 1  # by now: a child that ends with the worker has waited for it
    wait_until_idle()
    assert counts() == {"/charge": 9, "/report": 1}
    assert tags() == {"shop.charge": 9, "shop.report": 1}


def test_time_limits_cost_no_call_that_had_returned(api: Api, tmp_path: Path):
    """A soft one ends a call, which counts as failed; a hard one kills the process in the middle of the next.

    The soft one is sent by the test, when the call is under way. The hard one leaves time enough to get that far.
    That one may count as failed too: the process first gets a SIGTERM, which is an exception.
    """
    with worker(tmp_path, api, "-P", "prefork", "-c", "1") as running:
        [(child, _)] = running.run("shop.charge")
        sent = running.send("shop.wait", "shop.look")
        wait_until(lambda: api.held == 1, what="the call to be under way")
        os.kill(child, signal.SIGUSR1)
        assert running.results(sent) == ["shop.wait", "shop.look"]
        with pytest.raises(TimeLimitExceeded):
            running.run("shop.hang")
        assert running.run("shop.charge")[0][1] == "shop.charge"
    wait_until_idle()
    killed = counts()["/held"] - 1
    assert killed in {0, 1}
    assert counts() == {"/held": 1 + killed, "/hang": 1, "/charge": 2}
    assert tags() == {"shop.wait": 1, "shop.hang": 1 + killed, "shop.charge": 2}
    assert api.calls == 5


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools_capture_in_the_process_of_the_worker(api: Api, tmp_path: Path, pool: str):
    with worker(tmp_path, api, "-P", pool, "-c", "2") as running:
        told = running.run(*["shop.charge"] * 5, "shop.report")
        assert {origin for _, origin in told[:5]} == {"shop.charge"}
        assert told[5] == ["shop.report", "shop.charge", "shop.report"]
    assert counts() == {"/charge": 6, "/report": 1}
    wait_until_idle()
    assert tags() == {"shop.charge": 6, "shop.report": 1}
