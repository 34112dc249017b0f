"""The API that the programs of these tests call, collectors that do not linger, and exits that wait; and a ring."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from recost.paths import make_private_dir
from recost.ring.files import RingFile, create_ring
from recost.ring.layout import MIN_CAPACITY
from tests.processes.fixtures import api, leave_soon, wait_long_enough  # noqa: F401 - pytest takes fixtures from here


@pytest.fixture
def directory() -> str:
    path = os.environ["RECOST_RUNTIME_DIR"]
    make_private_dir(path)
    return path


@pytest.fixture
def ring(directory: str) -> Iterator[RingFile]:
    made = create_ring(directory, b"", MIN_CAPACITY)
    yield made
    os.unlink(made.path)
    made.close()
