"""The API that the programs of these tests call, and collectors that do not linger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes.support import Api


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        yield server


@pytest.fixture(autouse=True)
def _leave_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOST_COLLECTOR_IDLE_EXIT_S", "0.3")
