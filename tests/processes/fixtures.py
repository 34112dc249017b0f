"""The API that programs of the tests call, collectors that do not linger, and exits that wait. For the conftests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes.support import Api


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        yield server


@pytest.fixture(autouse=True)
def leave_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOST_COLLECTOR_IDLE_EXIT_S", "0.3")


@pytest.fixture(autouse=True)
def wait_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the last delivery; on a busy machine the default of 3 s may be over before the collector has begun.

    A test that is about the time that an exit takes gives one of its own.
    """
    monkeypatch.setenv("RECOST_SHUTDOWN_FLUSH_TIMEOUT_MS", "60000")
