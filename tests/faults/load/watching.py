"""What a collector holds, seen from outside, and whether it grows: memory, CPU, descriptors, files, rows, disk.

Nothing of it is asked of the collector: ``/proc``, the folders, and the spool opened for reading, as the command line
does.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recost_collector.spool import SPOOL_FILE
from tests.harness import wait_until
from tests.processes.support import leader, rings, wait_for_leader

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") >> 10
KEPT = ("cursors", "sessions", "destinations")
"""What the spool knows of rings and of who made them."""
WAITING = ("frames", "settles", "deltas")
JOURNAL_KIB = 8 << 10
"""SQLite begins its journal anew after 4 MiB, later when a reader is in the way."""


class Holdings(NamedTuple):
    """One look."""

    rss_kib: int
    descriptors: int
    files: int
    """In the runtime directory: rings, keys, locks."""
    state_files: int
    kept_rows: int
    waiting_rows: int
    spool_kib: int
    """The spool's file; its journal has a bound of its own."""
    journal_kib: int
    cpu_ticks: int


class Growth(NamedTuple):
    """How much more there is late than early, of each thing in ``Holdings`` that should stay as it is."""

    rss_kib: int
    descriptors: int
    files: int
    state_files: int
    kept_rows: int
    waiting_rows: int
    spool_kib: int

    def beyond(self, bound: Growth) -> list[str]:
        """What grew by more than its bound."""
        pairs = zip(self._fields, self, bound)
        return [f"{name} grew by {grew}, bound {most}" for name, grew, most in pairs if grew > most]


class Watched:
    """The collector of this process's place. The one that leads when it is made is to lead to the end."""

    def __init__(self) -> None:
        self.leader = wait_for_leader(timeout_s=30)
        self._runtime = os.environ["RECOST_RUNTIME_DIR"]
        self.spool = Path(self.leader.spool) / SPOOL_FILE

    @property
    def leads(self) -> bool:
        return leader() == self.leader

    def look(self) -> Holdings:
        process = Path(f"/proc/{self.leader.pid}")
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return Holdings(
            rss_kib=int((process / "statm").read_text().split()[1]) * PAGE_KIB,
            descriptors=len(os.listdir(process / "fd")),
            files=len(os.listdir(self._runtime)),
            state_files=len(os.listdir(self.spool.parent)),
            kept_rows=count_rows(self.spool, KEPT),
            waiting_rows=count_rows(self.spool, WAITING),
            spool_kib=_kib(self.spool),
            journal_kib=_kib(self.spool.with_name(SPOOL_FILE + "-wal")),
            cpu_ticks=int(fields[11]) + int(fields[12]),
        )

    def look_when_calm(self, most_kept: int, timeout_s: float) -> Holdings:
        """Once no worker's ring is there, nothing waits, and the spool knows no more than so much of those who left.

        At the latest after ``timeout_s``: what does not go by itself will show.
        """

        def is_calm() -> bool:
            return not rings() and not count_rows(self.spool, WAITING) and count_rows(self.spool, KEPT) <= most_kept

        with contextlib.suppress(AssertionError):
            wait_until(is_calm, timeout_s)
        return self.look()


def growth(looks: Sequence[Holdings], parts: int) -> Growth:
    """From the second of so many parts of the looks to the last; the first is the warming up.

    The least of each part counts: what comes and goes is no growth.
    """
    size = max(1, len(looks) // parts)
    early, late = looks[size : 2 * size], looks[-size:]
    return Growth(*(_least(late, name) - _least(early, name) for name in Growth._fields))


def count_rows(spool: Path, tables: Sequence[str]) -> int:
    """In all of the tables."""
    with contextlib.closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=5.0)) as db:
        return sum(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)


def _least(looks: Sequence[Holdings], name: str) -> int:
    least: int = min(getattr(look, name) for look in looks)
    return least


def _kib(path: Path) -> int:
    return path.stat().st_size >> 10 if path.exists() else 0
