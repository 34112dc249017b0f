"""Being somebody for whom permissions count, when the suite runs as root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from tests.harness import run_child

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def as_nobody(run: Callable[[], object]) -> None:
    """Run it in a child that has given up root, where permissions count."""

    def child() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        run()

    assert run_child(child) == 0


def folder_of_all() -> Iterator[Path]:
    """A folder that everybody can reach: pytest's own are private. For ``pytest.fixture``."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="recost-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
