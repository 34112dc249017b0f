"""The command in the test's own process, and rings for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.collector.collecting import Worker, runtime
from tests.doctor.asking import KEY, SHOP, Doctor
from tests.harness import start_child, wait_for_child


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(capsys)


@pytest.fixture
def dead() -> Path:
    """The ring of a worker that was killed, with 12 calls that nobody has collected."""

    def work() -> None:
        Worker(SHOP, KEY).calls(12)
        os.kill(os.getpid(), signal.SIGKILL)

    assert wait_for_child(start_child(work)) == -signal.SIGKILL
    return next(Path(runtime()).glob("ring-*"))
