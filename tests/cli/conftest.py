"""The commands, asked in the test's own process."""

from __future__ import annotations

import pytest

from tests.cli.hosts import Command


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
