"""The spools of this user as they lie there: the windows in them, read only. Becomes no epoch, takes no lock."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from typing import Literal

import msgspec

from recost import session
from recost.event import UNDECODABLE
from recost.paths import lesser_state_dir, runtime_dirs, state_dir
from recost_collector.changes import DestinationState
from recost_collector.exporters import WAITING
from recost_collector.open_spend import count_open_sessions
from recost_collector.spool import SpoolTrouble
from recost_collector.spool_peek import open_to_read
from recost_collector.spool_place import ID_FILE, spool_dirs


class KeptWindow(msgspec.Struct):
    """One closed window. Times: ms since the epoch."""

    id: int
    destination: str
    state: Literal["waiting", "parked"]
    closed_at_ms: int
    bytes: int
    entries: int
    tries: int
    """How often the destination refused it; an attempt without an answer is none."""
    status: int
    """Of the last answer that refused it, 0: none has."""
    reason: str
    """Why it was refused, or the destination's last trouble since something arrived there; may be empty."""


class KeptSpool(msgspec.Struct):
    """One spool and what is in it."""

    directory: str
    runtime_dir: str
    """Whose it is; empty: another container's, or nobody's any more, and the next collector takes its windows over."""
    windows: list[KeptWindow] = []
    open_windows: int = 0
    """Sessions with events in a window that is not closed yet."""
    trouble: str = ""
    """Why it cannot be read."""

    @property
    def is_empty(self) -> bool:
        return not (self.windows or self.open_windows or self.trouble)


def look() -> list[KeptSpool]:
    """Every spool in the places where this user's may be, those of runtime directories first."""
    runtimes = runtime_dirs()
    owners = {_id_of(runtime): runtime for runtime in runtimes}
    spools = [
        _read(directory, owners.get(os.path.basename(directory), ""))
        for state in dict.fromkeys((state_dir().path, lesser_state_dir(), *runtimes))
        for directory in spool_dirs(state)
    ]
    return sorted(spools, key=lambda spool: not spool.runtime_dir)


def _id_of(runtime: str) -> str:
    try:
        with open(os.path.join(runtime, ID_FILE), encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _read(directory: str, runtime: str) -> KeptSpool:
    spool = KeptSpool(directory, runtime)
    try:
        with open_to_read(directory) as db:
            spool.open_windows = count_open_sessions(db)
            spool.windows = list(_windows(db))
    except (SpoolTrouble, TypeError, ValueError, *UNDECODABLE) as exc:
        spool.trouble = f"the spool cannot be read: {exc}; the collector moves it aside at its next start"
    return spool


def _windows(db: sqlite3.Connection) -> Iterator[KeptWindow]:
    urls, why_waiting = {}, {}
    for name, packed, packed_state in db.execute("SELECT id, destination, state FROM destinations"):
        urls[name] = msgspec.msgpack.decode(packed, type=session.Destination).url
        state = msgspec.msgpack.decode(packed_state, type=DestinationState)
        if state.last_error_at_ms > state.delivered_at_ms:
            why_waiting[name] = state.last_error.partition(WAITING)[0]
    rows = db.execute(
        "SELECT id, destination, parked, closed_at_ms, size, entries, tries, status, reason FROM frames ORDER BY id"
    )
    for number, destination, parked, *rest, reason in rows:
        why = reason or ("" if parked else why_waiting.get(destination, ""))
        values = (number, urls.get(destination, destination), "parked" if parked else "waiting", *rest, why)
        yield msgspec.convert(dict(zip(KeptWindow.__struct_fields__, values)), KeptWindow)
