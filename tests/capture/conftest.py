"""What the tests of capture share: the servers, and the events seen while a test runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recost._capture import add_sink, fault_count, remove_sink
from recost.event import CallEvent
from tests.capture.servers import ForwardProxy, Gathering, Origin, Server, running


@pytest.fixture(scope="module")
def origin() -> Iterator[Server]:
    with running(Origin) as server:
        yield server


@pytest.fixture(scope="module")
def proxy() -> Iterator[Server]:
    with running(ForwardProxy) as server:
        yield server


@pytest.fixture(scope="module")
def gathering() -> Iterator[Gathering]:
    with Gathering().running() as server:
        yield server


@pytest.fixture
def events() -> Iterator[list[CallEvent]]:
    """Every event of the test, in the order in which calls ended. A fault of ours meanwhile fails the test."""
    seen: list[CallEvent] = []
    faults = fault_count()
    add_sink(seen.append)
    yield seen
    remove_sink(seen.append)
    assert fault_count() == faults
