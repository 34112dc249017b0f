"""What survives the collector: cursors, open windows and waiting frames, in one SQLite file.

One connection, used by the collector's loop alone.  A turn's changes go in as one IMMEDIATE transaction that first
compares the epoch: a collector that lost its place without noticing fails there, and nothing of its turn counts.
The command line reads the file with ``mode=ro``.

    cursors       how far each ring has been read
    sessions      what the windows of a session are and where they go
    deltas        the open window of each session, as the additions of each commit
    frames        closed windows, waiting or parked, in order
    settles       which positions of which rings a frame holds
    destinations  where frames go, and how delivery stands there
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Optional
from urllib.parse import quote

import msgspec

from recost_collector.changes import Changes, Kept
from recost_collector.spool_rows import DAMAGED, FRAME_COLUMNS, UNREADABLE, Rows

SPOOL_FILE = "spool.sqlite3"
SCHEMA = 1
PAGE_BYTES = 4096
HEADROOM_PAGES = 4096
"""Room above ``spool_max_bytes`` for everything that is no frame: cursors, open windows, the indexes."""
MOST = (1 << 63) - 1
"""The largest number that a column holds. What comes from shared memory may be larger."""

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


class Fenced(Exception):  # noqa: N818 - a finding, not an error of the program
    """Another collector has a newer epoch: this one must exit without writing."""


class SpoolTrouble(Exception):  # noqa: N818 - handled where turns are made
    """The spool cannot take a transaction now (disk full, I/O error). Nothing of it was written."""


class Spool:
    """The one connection. Every method belongs to the collector's loop."""

    def __init__(self, directory: str, boot_id: str) -> None:
        """Open or make the spool in ``directory`` and become its newest epoch. A corrupt one is moved aside."""
        self.path = os.path.join(directory, SPOOL_FILE)
        self.moved_aside = ""
        self._boot_id = boot_id
        try:
            self._begin()
        except sqlite3.OperationalError as exc:  # locked, full: no reason to give the contents up
            raise SpoolTrouble(str(exc)) from exc
        except (sqlite3.Error, *UNREADABLE):
            self._begin_anew()

    def start_anew(self) -> None:
        """Move the spool aside, for it cannot be used, and begin with an empty one. Raises ``SpoolTrouble``."""
        self._db.close()
        self._begin_anew()

    def limit(self, max_bytes: int) -> None:
        """Bound the file, a little above ``max_bytes`` so that frames are dropped before SQLite refuses."""
        self._db.execute(f"PRAGMA max_page_count = {max_bytes // PAGE_BYTES + HEADROOM_PAGES}")

    def next_frame_id(self) -> int:
        """Grows for ever, also over restarts."""
        self._last_frame += 1
        return self._last_frame

    def load(self) -> Kept:
        """What the last collector committed, without its damaged rows. Raises ``SpoolTrouble``."""
        rows = Rows(self._db)
        with _trouble():
            kept = rows.read()
        if rows.damaged:
            kept.counters[DAMAGED] = kept.counters.get(DAMAGED, 0) + len(rows.damaged)
            with contextlib.suppress(SpoolTrouble):  # the next load meets them again
                self._remove(rows, kept.counters[DAMAGED])
        return kept

    def body(self, frame_id: int) -> bytes:
        """The bytes of a committed frame."""
        row = self._first("SELECT body FROM frames WHERE id = ?", frame_id)
        return bytes(row[0]) if row else b""

    def knows(self, destination_id: str) -> bool:
        """Whether the destination has a row here."""
        return self._first("SELECT 1 FROM destinations WHERE id = ?", destination_id) is not None

    def has_frames(self, destination_id: str) -> bool:
        """Whether a frame of the destination is here, waiting or parked."""
        return self._first("SELECT 1 FROM frames WHERE destination = ?", destination_id) is not None

    def commit(self, changes: Changes) -> None:
        """All of ``changes`` or nothing. Raises ``Fenced`` or ``SpoolTrouble``."""
        if _inode(self.path) != self._inode:
            raise Fenced(f"the spool was removed: {self.path}")
        with self._transaction():
            self._write(changes)

    def is_at_limit(self) -> bool:
        """True when it is its own bound that keeps the spool from growing, and not the disk."""
        with _trouble():
            most, pages, free = (
                self._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("max_page_count", "page_count", "freelist_count")
            )
        return bool(pages - free > most - HEADROOM_PAGES // 2)

    def close(self) -> None:
        """Give the file back, with everything committed in it."""
        self._db.close()

    def _write(self, changes: Changes) -> None:
        many = self._db.executemany
        many(
            "REPLACE INTO cursors VALUES (?, ?, ?, ?)", [(ring, *_bounded(at)) for ring, at in changes.cursors.items()]
        )
        many("DELETE FROM cursors WHERE ring = ?", [(ring,) for ring in changes.forgotten_rings])
        many("DELETE FROM sessions WHERE id = ?", [(name,) for name in changes.forgotten_sessions])
        many(
            "REPLACE INTO sessions VALUES (?, ?)",
            [(name, msgspec.msgpack.encode(session)) for name, session in changes.sessions.items()],
        )
        many("REPLACE INTO deltas VALUES (?, ?, ?)", changes.deltas)
        many("DELETE FROM deltas WHERE session = ? AND number <= ?", [row[:2] for row in changes.compacted])
        many("REPLACE INTO deltas VALUES (?, ?, ?)", changes.compacted)
        many("DELETE FROM deltas WHERE session = ? AND number <= ?", changes.closed_windows)
        self._write_frames(changes)
        many(
            "REPLACE INTO destinations VALUES (?, ?, ?)",
            [
                (name, msgspec.msgpack.encode(destination), msgspec.msgpack.encode(state))
                for name, (destination, state) in changes.destinations.items()
            ],
        )
        many(
            "REPLACE INTO meta VALUES (?, ?)",
            [*zip(changes.counters, _bounded(changes.counters.values())), ("last_frame", self._last_frame)],
        )

    def _write_frames(self, changes: Changes) -> None:
        many = self._db.executemany
        gone = [(number,) for number in changes.gone_frames]
        many("DELETE FROM frames WHERE id = ?", gone)  # first, for the room
        left = set(changes.gone_frames)
        new_frames = [frame for frame in changes.new_frames if frame.id not in left]
        many(
            f"INSERT OR IGNORE INTO frames (body, {', '.join(FRAME_COLUMNS)}) VALUES (?{', ?' * len(FRAME_COLUMNS)})",  # noqa: S608 - constants
            [(frame.body, *(getattr(frame, name) for name in FRAME_COLUMNS)) for frame in new_frames],
        )
        many("REPLACE INTO settles VALUES (?, ?, ?, ?)", [(f.id, *part) for f in new_frames for part in f.parts])
        many(
            "UPDATE frames SET parked = ?, settled = ?, tries = ?, status = ?, reason = ? WHERE id = ?",
            [(f.parked, f.settled, f.tries, f.status, f.reason, f.id) for f in changes.changed_frames],
        )
        settled = [(frame.id,) for frame in (*new_frames, *changes.changed_frames) if frame.settled]
        many("DELETE FROM settles WHERE frame = ?", [*gone, *settled])

    def _remove(self, rows: Rows, count: int) -> None:
        with self._transaction():
            for statement, parameters in rows.damaged:
                self._db.execute(statement, parameters)
            self._db.execute("DELETE FROM settles WHERE frame NOT IN (SELECT id FROM frames)")
            self._db.execute("REPLACE INTO meta VALUES (?, ?)", (DAMAGED, count))

    def _begin(self) -> None:
        self._db = _open(self.path)
        try:
            self._inode = _inode(self.path)
            highest = self._db.execute("SELECT max(id) FROM frames").fetchone()[0] or 0
            self._last_frame = max(self._value("last_frame"), int(highest))
            self.epoch = self._begin_epoch(self._boot_id)
        except BaseException:
            self._db.close()
            raise

    def _begin_anew(self) -> None:
        self.moved_aside = _move_aside(self.path)
        with _trouble():
            self._begin()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, and only while the epoch is ours."""
        with _trouble():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if self._value("epoch") != self.epoch:
                    raise Fenced(f"epoch {self._value('epoch')} has begun, ours was {self.epoch}")
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _first(self, query: str, parameter: object) -> Optional[tuple[Any, ...]]:
        with _trouble():
            found: Optional[tuple[Any, ...]] = self._db.execute(query, (parameter,)).fetchone()
        return found

    def _begin_epoch(self, boot_id: str) -> int:
        self._db.execute("BEGIN IMMEDIATE")
        epoch = self._value("epoch") + 1
        rows: Iterable[tuple[str, object]] = [("epoch", epoch), ("boot_id", boot_id), ("schema", SCHEMA)]
        self._db.executemany("REPLACE INTO meta VALUES (?, ?)", rows)
        self._db.execute("COMMIT")
        return epoch

    def _value(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0


def peek(directory: str) -> tuple[int, str]:
    """(rings with a cursor, boot id) of a spool, without becoming its epoch. Raises ``SpoolTrouble``."""
    uri = f"file:{quote(os.path.join(directory, SPOOL_FILE))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=1.0)) as db:
            rings = db.execute("SELECT count(*) FROM cursors").fetchone()[0]
            boot = db.execute("SELECT value FROM meta WHERE name = 'boot_id'").fetchone()
            return rings, boot[0] if boot else ""
    except sqlite3.Error as exc:
        raise SpoolTrouble(str(exc)) from exc


@contextlib.contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise SpoolTrouble(str(exc)) from exc


def _bounded(numbers: Iterable[int]) -> list[int]:
    return [min(number, MOST) for number in numbers]


def _inode(path: str) -> tuple[int, int]:
    """Zeros when nothing is there."""
    try:
        found = os.lstat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _open(path: str) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check found damage")
        db.executescript(_TABLES)
        row = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        if row and row[0] != SCHEMA:
            raise sqlite3.DatabaseError(f"schema {row[0]}, this version reads {SCHEMA}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _move_aside(path: str) -> str:
    """Keep a corrupt spool for diagnosis under another name; its journal belongs to it."""
    aside = f"{path}.corrupt-{os.getpid()}"
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.replace(path + suffix, aside + suffix)
    return aside
