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

import msgspec

from recost.ring.reader import Cursor
from recost_collector.changes import Changes, Kept
from recost_collector.spool_file import SCHEMA, inode_of, is_damage, move_aside, open_file
from recost_collector.spool_rows import DAMAGED, FRAME_COLUMNS, UNREADABLE, Rows

SPOOL_FILE = "spool.sqlite3"
PAGE_BYTES = 4096
HEADROOM_PAGES = 4096
"""Room above ``spool_max_bytes`` for everything that is no frame: cursors, open windows, the indexes."""
NO_NUMBER = 1 << 62
"""No spool counts so far: its numbers are nonsense, and would soon be more than a column or a word holds."""
MOST = (1 << 63) - 1
"""The largest number that a column holds. What comes from shared memory may be larger."""


class Fenced(Exception):  # noqa: N818 - a finding, not an error of the program
    """Another collector has a newer epoch: this one must exit without writing."""


class SpoolTrouble(Exception):  # noqa: N818 - handled where turns are made
    """The spool cannot take a transaction now (disk full, I/O error). Nothing of it was written."""


class SpoolDamaged(SpoolTrouble):
    """What is in the spool cannot be read, and trying again does not help."""


class Spool:
    """The one connection. Every method belongs to the collector's loop."""

    def __init__(self, directory: str, boot_id: str) -> None:
        """Open or make the spool in ``directory`` and become its newest epoch. A corrupt one is moved aside."""
        self.path = os.path.join(directory, SPOOL_FILE)
        self.moved_aside = ""
        self.is_new = not os.path.lexists(self.path)
        self.is_removed = self.is_damaged = False
        """Found out while it was in use."""
        self._boot_id = boot_id
        try:
            self._begin()
        except (sqlite3.Error, *UNREADABLE) as exc:
            if not is_damage(exc):
                raise SpoolTrouble(str(exc)) from exc
            self._begin_anew()

    def start_anew(self) -> None:
        """Move the spool aside, for it cannot be used, and begin with an empty one. Raises ``SpoolTrouble``."""
        self._db.close()
        self._begin_anew()

    def limit(self, max_bytes: int) -> None:
        """Bound the file, a little above ``max_bytes`` so that frames are dropped before SQLite refuses."""
        with self._trouble():
            self._db.execute(f"PRAGMA max_page_count = {max_bytes // PAGE_BYTES + HEADROOM_PAGES}")

    def next_frame_id(self) -> int:
        """Grows for ever, also over restarts."""
        self._last_frame += 1
        return self._last_frame

    def load(self) -> Kept:
        """What the last collector committed, without its damaged rows. Raises ``SpoolTrouble``."""
        rows = Rows(self._db)
        with self._trouble():
            kept = rows.read()
        if rows.damaged:
            kept.counters[DAMAGED] = kept.counters.get(DAMAGED, 0) + len(rows.damaged)
            with contextlib.suppress(SpoolTrouble):  # the next load meets them again
                self._remove(rows, kept.counters[DAMAGED])
        return kept

    def body(self, frame_id: int) -> bytes:
        """The bytes of a committed frame. Raises ``Fenced`` when it is gone: another collector has delivered it."""
        row = self._first("SELECT body FROM frames WHERE id = ?", frame_id)
        if row is None:
            raise Fenced(f"frame {frame_id} is gone from the spool")
        return bytes(row[0])

    def knows(self, destination_id: str) -> bool:
        """Whether the destination has a row here."""
        return self._first("SELECT 1 FROM destinations WHERE id = ?", destination_id) is not None

    def number(self, name: str) -> int:
        """What a transaction has noted under this name (``Changes.counters``); 0 when nothing has."""
        with trouble():
            return self._value(name)

    def last_delta(self, session_id: str) -> tuple[int, Optional[bytes]]:
        """The newest one of the session's open window, with its number; 1 and None without any."""
        row = self._first("SELECT number, body FROM deltas WHERE session = ? ORDER BY number DESC LIMIT 1", session_id)
        return (1, None) if row is None else (row[0], row[1])

    def has_frames(self, destination_id: str) -> bool:
        """Whether a frame of the destination is here, waiting or parked."""
        return self._first("SELECT 1 FROM frames WHERE destination = ?", destination_id) is not None

    def cursors(self) -> dict[str, Cursor]:
        """How far each ring has been read."""
        with self._trouble():
            return dict(Rows(self._db).cursors())

    def commit(self, changes: Changes) -> None:
        """All of ``changes`` or nothing. Raises ``Fenced`` or ``SpoolTrouble``."""
        self._check_file()
        with self._transaction():
            self._write(changes)
        self.commits += 1

    def is_at_limit(self) -> bool:
        """True when it is its own bound that keeps the spool from growing, and not the disk."""
        with self._trouble():
            most, pages, free = (
                self._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("max_page_count", "page_count", "freelist_count")
            )
        return bool(pages - free > most - HEADROOM_PAGES // 2)

    def close(self) -> None:
        """Give the file back, with everything committed in it."""
        self._db.close()

    def _check_file(self) -> None:
        try:
            found = inode_of(self.path)
        except OSError as exc:  # whether it was removed is not known
            raise SpoolTrouble(str(exc)) from exc
        if found != self.file:
            self.is_removed = True
            raise Fenced(f"the spool was removed: {self.path}")

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
            "DELETE FROM destinations AS d WHERE id = ? AND NOT EXISTS (SELECT 1 FROM frames WHERE destination = d.id)",
            [(name,) for name in changes.forgotten_destinations],
        )
        many(
            "REPLACE INTO destinations VALUES (?, ?, ?)",
            [
                (name, msgspec.msgpack.encode(destination), msgspec.msgpack.encode(state))
                for name, (destination, state) in changes.destinations.items()
            ],
        )
        many(
            "REPLACE INTO meta VALUES (?, ?)",
            [
                *zip(changes.counters, _bounded(changes.counters.values())),
                ("last_frame", self._last_frame),
                ("commits", self.commits + 1),
            ],
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
        self._db = open_file(self.path, PAGE_BYTES)
        try:
            self.file = inode_of(self.path)
            self.commits = _possible(self._value("commits"))
            highest = self._db.execute("SELECT max(id) FROM frames").fetchone()[0] or 0
            self._last_frame = _possible(max(self._value("last_frame"), int(highest)))
            self.epoch = self._begin_epoch(self._boot_id)
        except BaseException:
            self._db.close()
            raise

    def _begin_anew(self) -> None:
        self.moved_aside = move_aside(self.path)
        with self._trouble():
            self._begin()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, and only while the epoch is ours."""
        with self._trouble():
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

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            with trouble():
                yield
        except SpoolDamaged:
            self.is_damaged = True
            raise

    def _first(self, query: str, parameter: object) -> Optional[tuple[Any, ...]]:
        with self._trouble():
            found: Optional[tuple[Any, ...]] = self._db.execute(query, (parameter,)).fetchone()
        return found

    def _begin_epoch(self, boot_id: str) -> int:
        self._db.execute("BEGIN IMMEDIATE")
        epoch = _possible(self._value("epoch")) + 1
        rows: Iterable[tuple[str, object]] = [("epoch", epoch), ("boot_id", boot_id), ("schema", SCHEMA)]
        self._db.executemany("REPLACE INTO meta VALUES (?, ?)", rows)
        self._db.execute("COMMIT")
        return epoch

    def _value(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0


@contextlib.contextmanager
def trouble() -> Iterator[None]:
    """What SQLite raises as what it means for the spool."""
    try:
        yield
    except sqlite3.Error as exc:
        raise (SpoolDamaged if is_damage(exc) else SpoolTrouble)(str(exc)) from exc


def _possible(number: int) -> int:
    """``number`` if a spool can have counted so far."""
    if not 0 <= number < NO_NUMBER:
        raise sqlite3.DatabaseError(f"no spool counts to {number}")
    return number


def _bounded(numbers: Iterable[int]) -> list[int]:
    return [min(number, MOST) for number in numbers]
