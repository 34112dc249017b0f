"""What the first event of a process pays for its ring file."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.measure import Effort, interleaved, wall_us
from benchmarks.place import place
from benchmarks.rows import Row, compare
from benchmarks.traffic import settings
from recost import session
from recost._destination import registration
from recost.paths import make_private_dir
from recost.ring.files import create_ring

TITLE = "A ring file of 1 MiB: wall time"


def measure(effort: Effort) -> Iterator[Row]:
    with place() as here:
        make_private_dir(here.runtime)
        chosen = settings()
        block = session.encode(registration(chosen))
        variants = {
            "ring": lambda: _ring_us(here.runtime, block, chosen.ring_bytes),
            "file": lambda: _file_us(os.path.join(here.runtime, "plain"), chosen.ring_bytes),
        }
        found = interleaved(variants, effort.times(300), effort.seconds(4))
    yield compare("making it", found["ring"], "us", "a plain file, allocated", found["file"])


def _ring_us(directory: str, block: bytes, capacity: int) -> float:
    made = []
    took_us = wall_us(lambda: made.append(create_ring(directory, block, capacity)))
    for ring in made:
        os.unlink(ring.path)
        ring.close()
    return took_us


def _file_us(path: str, size: int) -> float:
    took_us = wall_us(lambda: _allocate(path, size))
    os.unlink(path)
    return took_us


def _allocate(path: str, size: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.posix_fallocate(fd, 0, size)
    os.close(fd)
