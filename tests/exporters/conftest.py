"""A local file, and what writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from recost_collector.exporters.ndjson import NdjsonExporter
from tests.exporters.support import StubLease, file_destination


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "local" / "shop.jsonl"


@pytest.fixture
def lease(tmp_path: Path) -> StubLease:
    return StubLease(tmp_path / "state")


@pytest.fixture
def exporter(path: Path, lease: StubLease) -> NdjsonExporter:
    return NdjsonExporter(file_destination(path), lease)
