"""The SQLite file of a spool: made, opened, checked, and moved aside when it is damaged."""

from __future__ import annotations

import os
import sqlite3

from recost.system import CLOSELY

SCHEMA = 1
"""Grows when an older version would misread the tables."""
ASIDE = ".corrupt-"
"""In the name of what was moved aside."""

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors (ring TEXT PRIMARY KEY, position INTEGER, sequence INTEGER, lost INTEGER)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, session BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deltas (session TEXT, number INTEGER, body BLOB, PRIMARY KEY (session, number))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS frames (
    id INTEGER PRIMARY KEY AUTOINCREMENT, destination TEXT, session TEXT, key TEXT UNIQUE, body BLOB, sdk_version TEXT,
    entries INTEGER, closed_at_ms INTEGER, size INTEGER, parked INTEGER DEFAULT 0, settled INTEGER DEFAULT 0,
    tries INTEGER DEFAULT 0, status INTEGER DEFAULT 0, reason TEXT DEFAULT '');
CREATE INDEX IF NOT EXISTS frames_by_destination ON frames (destination, parked, id);
CREATE TABLE IF NOT EXISTS settles (frame INTEGER, ring TEXT, start INTEGER, position INTEGER,
    PRIMARY KEY (frame, ring)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS destinations (id TEXT PRIMARY KEY, destination BLOB, state BLOB) WITHOUT ROWID;
"""


def open_file(path: str, page_bytes: int) -> sqlite3.Connection:
    """Open or make it, and check it. Raises ``sqlite3.Error``; ``is_damage`` tells what that means."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | CLOSELY, 0o600))
    db = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute(f"PRAGMA page_size = {page_bytes}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check found damage")
        _check_schema(db)
        db.executescript(_TABLES)
    except sqlite3.Error:
        db.close()
        raise
    return db


def is_damage(exc: BaseException) -> bool:
    """False: it is locked, the disk is full or fails, and the contents may be sound."""
    if type(exc) in {sqlite3.DatabaseError, sqlite3.IntegrityError} or not isinstance(exc, sqlite3.Error):
        # Other children are other trouble; our rows break no rule; what is no SQLite error was raised by what is in it.
        return True
    return any(sign in str(exc) for sign in ("no such table", "no such column", "has no column named"))


def _check_schema(db: sqlite3.Connection) -> None:
    """What a newer version has written is not damaged: it waits for one."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        return
    row = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    if row is None or row[0] == SCHEMA:
        return
    if isinstance(row[0], int) and row[0] > SCHEMA:
        raise sqlite3.OperationalError(f"a newer recost has written it (schema {row[0]}, this one reads {SCHEMA})")
    raise sqlite3.DatabaseError(f"schema {row[0]!r}, this version reads {SCHEMA}")


def move_aside(path: str) -> str:
    """Keep a corrupt spool for diagnosis under another name; its journal belongs to it."""
    aside = f"{path}{ASIDE}{os.getpid()}"
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.replace(path + suffix, aside + suffix)
    return aside


def inode_of(path: str) -> tuple[int, int]:
    """Zeros when nothing is there. Raises ``OSError`` when that cannot be told."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    return found.st_dev, found.st_ino
