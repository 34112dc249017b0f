"""A look into a spool that need not be writable, without becoming its epoch. All raise ``SpoolTrouble``."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from recost.ring.reader import Cursor
from recost_collector.changes import FINISHED
from recost_collector.spool import SPOOL_FILE, SpoolDamaged, trouble
from recost_collector.spool_rows import Rows

BUSY_S = 1.0


class Peek(NamedTuple):
    boot: str
    cursors: dict[str, Cursor]
    """How far each ring has been read by whom that spool belongs to."""

    @property
    def has_rings(self) -> bool:
        """That are not read to their end."""
        return any(cursor.sequence != FINISHED for cursor in self.cursors.values())


def peek(directory: str) -> Peek:
    """Of the spool in ``directory``."""
    with open_to_read(directory) as db:
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise SpoolDamaged("quick_check found damage")
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
            return Peek("", {})  # who made it was killed at that
        boot = db.execute("SELECT value FROM meta WHERE name = 'boot_id'").fetchone()
        return Peek(boot[0] if boot else "", dict(Rows(db).cursors()))


def undo_unfinished(directory: str) -> None:
    """What a killed writer has left half done there, as who opens it to write does. Its lock must be ours."""
    path = os.path.join(directory, SPOOL_FILE)
    if os.path.lexists(f"{path}-journal"):
        with trouble(), contextlib.closing(sqlite3.connect(path, timeout=BUSY_S)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()


@contextlib.contextmanager
def open_to_read(directory: str) -> Iterator[sqlite3.Connection]:
    """The database of the spool in ``directory``, for as long as the block takes."""
    uri = f"file:{quote(os.path.join(directory, SPOOL_FILE))}?mode=ro"
    with trouble(), contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as db:
        yield db
