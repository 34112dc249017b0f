"""The commands, asked in the test's own process."""

from __future__ import annotations

import pytest

from recost_collector import asking
from tests.cli.hosts import Command
from tests.collector.hurried import hurry  # noqa: F401 - pytest takes fixtures from here
from tests.harness import PATIENCE_S


@pytest.fixture(autouse=True)
def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """With collectors on a busy machine. A test of one that never answers takes less."""
    monkeypatch.setattr(asking, "PATIENCE_S", PATIENCE_S)


@pytest.fixture
def flush(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys, "flush")


@pytest.fixture
def spool(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys, "spool")


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys, "doctor")


@pytest.fixture
def purge(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys, "purge")


@pytest.fixture
def top(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys, "top")


@pytest.fixture
def status(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys, "status")


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys, "report")
