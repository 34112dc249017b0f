"""recost in the test's own process, delivering to a stand-in of the service, with every error that it is told of."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

from examples.standins import CloudStandIn
from examples.standins.cloud import Received
from recost import RecostHandle, init
from recost.leader import read_leader
from recost.paths import runtime_dir
from tests.harness import PATIENCE_S, wait_until
from tests.processes.support import Api, call

KEY = "rc-a-good-key-0123456789abcdef"
OTHER_KEY = "rc-another-key-9876543210fedcba"
PROJECT = "shop"
SOON_MS = 200
"""A flush interval for tests that wait for the next one."""

E = TypeVar("E", bound=Exception)


class Application:
    """A program that calls an API. Flushes wait for as long as tests have patience."""

    def __init__(self, base_url: str, api: Api, **settings: Any) -> None:
        self._api = api
        self.errors: list[Exception] = []
        self.threads: set[int] = set()
        """On which ``on_error`` was called."""
        given = {
            "api_key": KEY,
            "project_id": PROJECT,
            "base_url": base_url,
            "max_retries": 0,
            "on_error": self._hear,
            "auto_shutdown_handlers": False,
        }
        self.handle: RecostHandle = init(**{**given, **settings})  # type: ignore[arg-type]  # keywords of many types

    def call(self, times: int = 1, path: str = "/v1/things") -> None:
        call(self._api.url + path, times)

    def flush(self, timeout_s: float = PATIENCE_S) -> bool:
        return self.handle.flush_blocking(timeout_s)

    def window(self, path: str = "/v1/things") -> str:
        """Make a window of one call and have it tried at once. Returns how that went."""
        self.call(path=path)
        assert self.flush()
        return self.status

    @property
    def status(self) -> str:
        status = self.handle.last_flush_status
        return "none" if status is None else status.status

    def of(self, kind: type[E]) -> list[E]:
        """What it heard of exactly this type."""
        return [error for error in self.errors if type(error) is kind]

    def wait_for(self, kind: type[E], count: int = 1) -> list[E]:
        """Wait for the ``count``-th error of this type; there must be no more than that."""
        wait_until(lambda: len(self.of(kind)) >= count, what=f"{count} {kind.__name__} in {self.errors}")
        assert len(self.of(kind)) == count, self.errors
        return self.of(kind)

    def _hear(self, error: Exception) -> None:
        self.errors.append(error)
        self.threads.add(threading.get_ident())


@contextlib.contextmanager
def application(cloud: CloudStandIn, api: Api, **settings: Any) -> Iterator[Application]:
    """An application that is shut down at the end without a last delivery."""
    running = Application(cloud.url, api, **settings)
    try:
        yield running
    finally:
        init(enabled=False)  # also where the test has called init() again


def posts(cloud: CloudStandIn, project: str = PROJECT) -> list[Received]:
    """Every POST of a window so far, whatever it was answered."""
    return [received for received in list(cloud.received) if received.project_id == project]


def statuses(cloud: CloudStandIn, project: str = PROJECT) -> list[int]:
    return [received.status for received in posts(cloud, project)]


def paths(cloud: CloudStandIn, project: str = PROJECT) -> list[str]:
    """The endpoints of the windows that were taken, in order."""
    return [metric["endpoint"] for window in cloud.unique_windows(project) for metric in window["metrics"]]


def pauses(cloud: CloudStandIn) -> list[float]:
    """Seconds between one POST and the next."""
    times = [received.at_s for received in posts(cloud)]
    return [after - before for before, after in zip(times, times[1:])]


def wait_for_posts(cloud: CloudStandIn, count: int, timeout_s: float = PATIENCE_S) -> list[Received]:
    wait_until(lambda: len(posts(cloud)) >= count, timeout_s, f"{count} posts")
    return posts(cloud)


def spooled(column: str = "count(*)", where: str = "1") -> Any:
    """What the spool of this test's runtime directory says of its frames."""
    found = read_leader(runtime_dir())
    assert found is not None
    with contextlib.closing(sqlite3.connect(f"file:{found.spool}/spool.sqlite3?mode=ro", uri=True)) as db:
        return db.execute(f"SELECT {column} FROM frames WHERE {where}").fetchone()[0]
