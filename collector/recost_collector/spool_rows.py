"""The rows of a spool as what they stand for.

A row that cannot be read, or that belongs to one that is not there, is damaged: it is removed, counted and logged, and
the rest goes on.  One bad row must not keep every later collector from starting.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from recost.event import UNDECODABLE
from recost.ring.reader import Cursor
from recost.session import Destination, Session
from recost_collector.changes import FINISHED, DestinationState, Kept, Part, StoredFrame
from recost_collector.open_window import OpenWindow

FRAME_COLUMNS = (
    *("id", "destination", "session", "key", "sdk_version", "entries", "closed_at_ms", "size"),
    *("parked", "settled", "tries", "status", "reason"),
)
"""Of a frame, all but its body, which stays on disk until it goes out."""
DAMAGED = "count.damaged_rows"
UNREADABLE = (*UNDECODABLE, ValueError, TypeError, LookupError, ArithmeticError)
"""What the contents of a damaged row can raise."""

_Read = TypeVar("_Read")

logger = logging.getLogger("recost_collector")


class Rows:
    """One look at everything in ``db``. ``damaged`` is what must go: (statement, parameters)."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.damaged: list[tuple[str, tuple[Any, ...]]] = []
        self._db = db

    def read(self) -> Kept:
        sessions = dict(self._sessions())
        destinations = dict(self._destinations())
        return Kept(
            cursors=dict(self.cursors()),
            sessions=sessions,
            deltas=self._deltas(sessions),
            frames=list(self._frames(sessions, destinations)),
            destinations=destinations,
            counters=dict(self._counters()),
        )

    def cursors(self) -> Iterator[tuple[str, Cursor]]:
        for ring, *at in self._db.execute("SELECT ring, position, sequence, lost FROM cursors"):
            if _is_id(ring) and _are_numbers(at, least=FINISHED) and at[0] >= 0:
                yield ring, Cursor(*at)
            else:
                self._set_aside("DELETE FROM cursors WHERE ring IS ?", ring)

    def _sessions(self) -> Iterator[tuple[str, Session]]:
        for name, packed in self._db.execute("SELECT id, session FROM sessions"):
            try:
                yield _id(name), _decode(packed, Session)
            except UNREADABLE:
                self._set_aside("DELETE FROM sessions WHERE id IS ?", name)

    def _destinations(self) -> Iterator[tuple[str, tuple[Destination, DestinationState]]]:
        for name, destination, state in self._db.execute("SELECT id, destination, state FROM destinations"):
            try:
                place = _decode(destination, Destination)
                if place.id != name:
                    raise ValueError(f"no such destination: {place.id}")
                yield place.id, (place, _decode(state, DestinationState))
            except UNREADABLE:
                self._set_aside("DELETE FROM destinations WHERE id IS ?", name)

    def _counters(self) -> Iterator[tuple[str, int]]:
        for name, value in self._db.execute("SELECT name, value FROM meta WHERE name LIKE 'count.%'"):
            if isinstance(name, str) and _are_numbers([value]):
                yield name, value
            else:
                self._set_aside("DELETE FROM meta WHERE name IS ?", name)

    def _deltas(self, sessions: dict[str, Session]) -> dict[str, list[tuple[int, bytes]]]:
        deltas: dict[str, list[tuple[int, bytes]]] = {}
        trials: dict[str, OpenWindow] = {}
        for name, number, body in self._db.execute("SELECT session, number, body FROM deltas ORDER BY session, number"):
            try:
                if name not in trials:
                    trials[name] = OpenWindow(name, sessions[name])
                trials[name].restore([(number, body)], now=0.0)
            except UNREADABLE:
                self._set_aside("DELETE FROM deltas WHERE session IS ? AND number IS ?", name, number)
            else:
                deltas.setdefault(name, []).append((number, body))
        return deltas

    def _frames(self, sessions: dict[str, Session], destinations: dict[str, Any]) -> Iterator[StoredFrame]:
        parts = self._parts()
        names = ", ".join(FRAME_COLUMNS)
        for kind, *row in self._db.execute(f"SELECT typeof(body), {names} FROM frames ORDER BY id"):  # noqa: S608 - constants
            found = {**dict(zip(FRAME_COLUMNS, row)), "body": b"", "parts": parts.get(row[0], ())}
            try:
                frame = msgspec.convert(found, StoredFrame, strict=False)
                if kind != "blob" or frame.session not in sessions or frame.destination not in destinations:
                    raise LookupError(frame.key)
            except UNREADABLE:
                self._set_aside("DELETE FROM frames WHERE id IS ?", row[0])
            else:
                yield frame

    def _parts(self) -> dict[int, list[Part]]:
        parts: dict[int, list[Part]] = {}
        for frame, ring, *stretch in self._db.execute("SELECT frame, ring, start, position FROM settles"):
            if _are_numbers([frame, *stretch]) and isinstance(ring, str):
                parts.setdefault(frame, []).append(Part(ring, *stretch))
            else:
                self._set_aside("DELETE FROM settles WHERE frame IS ? AND ring IS ?", frame, ring)
        return parts

    def _set_aside(self, statement: str, *parameters: object) -> None:
        logger.warning("a damaged row of the spool is removed: %s: %r", statement.split()[2], parameters)
        self.damaged.append((statement, parameters))


def _decode(packed: object, kind: type[_Read]) -> _Read:
    if not isinstance(packed, bytes):
        raise TypeError(f"no blob: {type(packed).__name__}")
    return msgspec.msgpack.decode(packed, type=kind)


def _id(name: Any) -> str:
    if not _is_id(name):
        raise ValueError(f"no id: {name!r}")
    return str(name)


def _is_id(name: object) -> bool:
    """Ours are hexadecimal and become names of files."""
    return isinstance(name, str) and name.isalnum()


def _are_numbers(values: list[object], least: int = 0) -> bool:
    return all(isinstance(value, int) and value >= least for value in values)
