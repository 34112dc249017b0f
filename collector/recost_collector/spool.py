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
from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from recost.ring.reader import Cursor
from recost.session import Destination, Session
from recost_collector.changes import Changes, DestinationState, Kept, Part, StoredFrame

SPOOL_FILE = "spool.sqlite3"
SCHEMA = 1
PAGE_BYTES = 4096
HEADROOM_PAGES = 4096
"""Room above ``spool_max_bytes`` for everything that is no frame: cursors, open windows, the indexes."""

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


_COLUMNS = (
    *("id", "destination", "session", "key", "sdk_version", "entries", "closed_at_ms", "size"),
    *("parked", "settled", "tries", "status", "reason"),
)
"""Of a frame, all but its body, which stays on disk until it goes out."""


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
        try:
            self._db = _open(self.path)
        except sqlite3.DatabaseError as exc:
            if isinstance(exc, sqlite3.OperationalError):  # locked, full: no reason to give the contents up
                raise SpoolTrouble(str(exc)) from exc
            self.moved_aside = _move_aside(self.path)
            self._db = _open(self.path)
        self._last_frame = self._value("last_frame")
        self.epoch = self._begin_epoch(boot_id)

    def limit(self, max_bytes: int) -> None:
        """Bound the file, a little above ``max_bytes`` so that frames are dropped before SQLite refuses."""
        self._db.execute(f"PRAGMA max_page_count = {max_bytes // PAGE_BYTES + HEADROOM_PAGES}")

    def next_frame_id(self) -> int:
        """Grows for ever, also over restarts."""
        self._last_frame += 1
        return self._last_frame

    def load(self) -> Kept:
        """What the last collector committed."""
        return Kept(
            cursors={row[0]: Cursor(*row[1:]) for row in self._db.execute("SELECT * FROM cursors")},
            sessions={
                row[0]: msgspec.msgpack.decode(row[1], type=Session)
                for row in self._db.execute("SELECT * FROM sessions")
            },
            deltas=self._load_deltas(),
            frames=self._load_frames(),
            destinations={
                row[0]: (
                    msgspec.msgpack.decode(row[1], type=Destination),
                    msgspec.msgpack.decode(row[2], type=DestinationState),
                )
                for row in self._db.execute("SELECT * FROM destinations")
            },
            counters={
                row[0]: row[1] for row in self._db.execute("SELECT name, value FROM meta WHERE name LIKE 'count.%'")
            },
        )

    def body(self, frame_id: int) -> bytes:
        """The bytes of a committed frame."""
        row = self._db.execute("SELECT body FROM frames WHERE id = ?", (frame_id,)).fetchone()
        return bytes(row[0]) if row else b""

    def knows(self, destination_id: str) -> bool:
        """Whether the destination has a row here."""
        return self._db.execute("SELECT 1 FROM destinations WHERE id = ?", (destination_id,)).fetchone() is not None

    def has_frames(self, destination_id: str) -> bool:
        """Whether a frame of the destination is here, waiting or parked."""
        return self._db.execute("SELECT 1 FROM frames WHERE destination = ?", (destination_id,)).fetchone() is not None

    def commit(self, changes: Changes) -> None:
        """All of ``changes`` or nothing. Raises ``Fenced`` or ``SpoolTrouble``."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if self._value("epoch") != self.epoch:
                    raise Fenced(f"epoch {self._value('epoch')} has begun, ours was {self.epoch}")
                self._write(changes)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as exc:
            raise SpoolTrouble(str(exc)) from exc

    def close(self) -> None:
        """Give the file back, with everything committed in it."""
        self._db.close()

    def _write(self, changes: Changes) -> None:
        many = self._db.executemany
        many("REPLACE INTO cursors VALUES (?, ?, ?, ?)", [(ring, *at) for ring, at in changes.cursors.items()])
        many("DELETE FROM cursors WHERE ring = ?", [(ring,) for ring in changes.forgotten_rings])
        many(
            "REPLACE INTO sessions VALUES (?, ?)",
            [(name, msgspec.msgpack.encode(session)) for name, session in changes.sessions.items()],
        )
        many("DELETE FROM sessions WHERE id = ?", [(name,) for name in changes.forgotten_sessions])
        many("INSERT INTO deltas VALUES (?, ?, ?)", changes.deltas)
        many("DELETE FROM deltas WHERE session = ? AND number <= ?", [row[:2] for row in changes.compacted])
        many("INSERT INTO deltas VALUES (?, ?, ?)", changes.compacted)
        many("DELETE FROM deltas WHERE session = ? AND number <= ?", changes.closed_windows)
        self._write_frames(changes)
        many(
            "REPLACE INTO destinations VALUES (?, ?, ?)",
            [
                (name, msgspec.msgpack.encode(destination), msgspec.msgpack.encode(state))
                for name, (destination, state) in changes.destinations.items()
            ],
        )
        many("REPLACE INTO meta VALUES (?, ?)", [*changes.counters.items(), ("last_frame", self._last_frame)])

    def _write_frames(self, changes: Changes) -> None:
        many = self._db.executemany
        many(
            f"INSERT OR IGNORE INTO frames (body, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)})",  # noqa: S608 - constants
            [(frame.body, *(getattr(frame, name) for name in _COLUMNS)) for frame in changes.new_frames],
        )
        many("INSERT INTO settles VALUES (?, ?, ?, ?)", [(f.id, *part) for f in changes.new_frames for part in f.parts])
        many(
            "UPDATE frames SET parked = ?, settled = ?, tries = ?, status = ?, reason = ? WHERE id = ?",
            [(f.parked, f.settled, f.tries, f.status, f.reason, f.id) for f in changes.changed_frames],
        )
        gone = [(number,) for number in changes.gone_frames]
        many("DELETE FROM frames WHERE id = ?", gone)
        many("DELETE FROM settles WHERE frame = ?", gone)

    def _load_deltas(self) -> dict[str, list[tuple[int, bytes]]]:
        deltas: dict[str, list[tuple[int, bytes]]] = {}
        for name, number, body in self._db.execute("SELECT session, number, body FROM deltas ORDER BY session, number"):
            deltas.setdefault(name, []).append((number, body))
        return deltas

    def _load_frames(self) -> list[StoredFrame]:
        parts: dict[int, list[Part]] = {}
        for frame, *part in self._db.execute("SELECT frame, ring, start, position FROM settles"):
            parts.setdefault(frame, []).append(Part(*part))
        rows = self._db.execute(f"SELECT {', '.join(_COLUMNS)} FROM frames ORDER BY id")  # noqa: S608 - constants
        found = ({**dict(zip(_COLUMNS, row)), "body": b"", "parts": parts.get(row[0], ())} for row in rows)
        return [msgspec.convert(frame, StoredFrame, strict=False) for frame in found]

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
