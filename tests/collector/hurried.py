"""A collector that is turned in the test's own process does at once what others do every half second or second."""

from __future__ import annotations

import pytest

from recost_collector import service

OFTEN_S = 0.05


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the conftests: commits, and looks whose owner has gone."""
    monkeypatch.setattr(service, "COMMIT_S", OFTEN_S)
    monkeypatch.setattr(service, "PROBE_S", OFTEN_S)
