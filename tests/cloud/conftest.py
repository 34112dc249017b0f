"""The recost service and an API to call, and no collector that waits for either when a test is over."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from examples.standins import CloudStandIn
from recost import _starts
from tests.cloud.application import KEY
from tests.conftest import Place
from tests.harness import PATIENCE_S, wait_until
from tests.processes.fixtures import api, wait_long_enough  # noqa: F401 - pytest takes fixtures from here
from tests.processes.support import LOOK_S, collectors, leader


@pytest.fixture
def cloud() -> Iterator[CloudStandIn]:
    with CloudStandIn(keys={KEY}) as server:
        yield server


@pytest.fixture(autouse=True)
def _end_collectors(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A collector stays for windows that may still be delivered: up to ten minutes, but not beyond the test."""
    monkeypatch.setenv("RECOST_COLLECTOR_IDLE_EXIT_S", "0.3")
    monkeypatch.setattr(_starts, "START_S", PATIENCE_S)  # a busy machine may take longer than 10 s
    yield
    wait_until(_are_ended, what="the collector to leave", poll_s=LOOK_S)


def _are_ended() -> bool:
    """One that is only being started leads, and can be told, a while later."""
    found = leader()
    if found is not None and found.kind == "spawned":
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGTERM)
    return not collectors()
