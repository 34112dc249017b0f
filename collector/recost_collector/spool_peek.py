"""A look into a spool that need not be writable, without becoming its epoch. All raise ``SpoolTrouble``."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from urllib.parse import quote

from recost.ring.reader import Cursor
from recost_collector.changes import FINISHED
from recost_collector.spool import SPOOL_FILE, SpoolDamaged, trouble
from recost_collector.spool_rows import Rows


def peek(directory: str) -> tuple[int, str]:
    """(rings with a cursor, boot id) of the spool in ``directory``."""
    with _open(directory) as db:
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise SpoolDamaged("quick_check found damage")
        rings = db.execute("SELECT count(*) FROM cursors WHERE sequence <> ?", (FINISHED,)).fetchone()[0]
        boot = db.execute("SELECT value FROM meta WHERE name = 'boot_id'").fetchone()
        return rings, boot[0] if boot else ""


def peek_cursors(directory: str) -> dict[str, Cursor]:
    """How far each ring has been read by whom that spool belongs to."""
    with _open(directory) as db:
        return dict(Rows(db).cursors())


@contextlib.contextmanager
def _open(directory: str) -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(os.path.join(directory, SPOOL_FILE))}?mode=ro"
    with trouble(), contextlib.closing(sqlite3.connect(uri, uri=True, timeout=1.0)) as db:
        yield db
