"""Events into open windows: one window per session, counted by (provider, endpoint, method).

A window closes when its interval has passed, when enough events are in it, when one bucket too many is needed, when a
worker asks for a flush, or when its last worker left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import Optional

from recost.event import MAX_BYTES, UNDECODABLE, Event, decode
from recost.ring.layout import record_bytes
from recost.session import Session
from recost_collector.changes import Changes, Part, StoredFrame
from recost_collector.live import Live
from recost_collector.open_window import OpenWindow
from recost_collector.source import Source


class Aggregation:
    """All sessions and their open windows. The loop's alone.

    ``now`` is monotonic seconds, ``wall_ns`` ns since the epoch.  ``on_close`` is given each closed window's frames.
    """

    def __init__(
        self,
        sessions: dict[str, Session],
        next_frame_id: Callable[[], int],
        on_close: Callable[[OpenWindow, list[StoredFrame]], None],
    ) -> None:
        self.sessions = sessions
        self._windows: dict[str, OpenWindow] = {}
        self._next_frame_id = next_frame_id
        self._on_close = on_close
        self.live = Live()

    @property
    def is_empty(self) -> bool:
        """True when no open window has an event."""
        return not any(window.count for window in self._windows.values())

    @property
    def calls(self) -> int:
        """Events in open windows."""
        return sum(window.count for window in self._windows.values())

    def take_over(self, adopted: Changes, changes: Changes) -> None:
        """Frames of these sessions are in the spool, as are their rows; and the credits of open windows count on."""
        self.sessions.update(adopted.sessions)
        for name in adopted.sessions:
            changes.remember_session(name)
        for name, held in adopted.credits.items():
            self._window_of(name).take_credits(held)

    def restore(self, deltas: dict[str, list[tuple[int, bytes]]], now: float) -> None:
        """Take over the open windows that the last collector left."""
        for name, bodies in deltas.items():
            self._window_of(name).restore(bodies, now)

    def meet(self, source: Source, changes: Changes) -> None:
        """A ring has appeared: its session counts from now on."""
        if source.session_id not in self.sessions:
            session = source.registration.session
            self.sessions[source.session_id] = changes.sessions[source.session_id] = session
        changes.remember_session(source.session_id)
        self._window_of(source.session_id)

    def add(self, source: Source, start: int, payloads: list[bytes], now: float, wall_ns: int) -> None:
        """Count the events in ``payloads``: all that has been read of the ring from position ``start`` on."""
        window = self._windows[source.session_id]
        events = _decode(payloads, source)
        while events:
            count = window.count
            taken = window.add(events, now)
            is_all = taken == len(events)
            end = source.reader.cursor.position if is_all else start + _bytes_of(payloads[:taken])
            if window.count > count:
                window.cover(source.name, start, end)
            if is_all:
                return
            self.close(source.session_id, wall_ns)
            start, events, payloads = end, events[taken:], payloads[taken:]

    def part_of(self, source: Source) -> Optional[Part]:
        """The stretch of the ring that is in the open window."""
        return self._windows[source.session_id].parts.get(source.name)

    def close(self, session_id: str, wall_ns: int) -> None:
        """Close the session's window, if there is anything in it."""
        window = self._windows[session_id]
        if window.count:
            self.live.add(window.fresh)
            self._on_close(window, window.close(wall_ns, self._next_frame_id))

    def close_due(self, alive: Collection[str], older_waits: Callable[[str], bool], now: float, wall_ns: int) -> bool:
        """Close every window whose time has come, and those whose workers all left. True when there were any."""
        due = [
            name
            for name, window in self._windows.items()
            if window.count and (name not in alive or window.is_due(now, older_waits=older_waits))
        ]
        for name in due:
            self.close(name, wall_ns)
        void = [name for name, window in self._windows.items() if name not in alive and window.drop_credits(wall_ns)]
        for name in void:
            self._on_close(self._windows[name], [])
        return bool(due or void)

    def close_all(self, wall_ns: int) -> None:
        for name in self._windows:
            self.close(name, wall_ns)

    def gather(self, changes: Changes) -> None:
        """What the open windows add to the next transaction; anew after one that failed."""
        changes.deltas, changes.compacted = [], []
        for name, window in self._windows.items():
            snapshot = window.snapshot()
            if snapshot is not None:
                changes.compacted.append((name, window.number, snapshot))
            delta = window.delta()
            if delta is not None:
                changes.deltas.append((name, window.number + 1, delta))

    def committed(self) -> None:
        """That transaction is done."""
        for window in self._windows.values():
            self.live.add(window.fresh)
            window.committed()

    def forget(self, used: Collection[str]) -> list[str]:
        """Let go of the sessions that have neither rings nor frames nor events. Returns their names."""
        busy = {name for name, window in self._windows.items() if window.count or window.holds_credits}
        unused = [name for name in self.sessions if name not in used and name not in busy]
        for name in unused:
            self._windows.pop(name, None)
            del self.sessions[name]
        return unused

    def _window_of(self, name: str) -> OpenWindow:
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = OpenWindow(name, self.sessions[name])
        return window


def _bytes_of(payloads: list[bytes]) -> int:
    """What they take in a ring."""
    return sum(record_bytes(len(payload)) for payload in payloads)


def _decode(payloads: list[bytes], source: Source) -> list[Optional[Event]]:
    """The event in each of ``payloads``; None where there is none of ours, which ``source`` counts."""
    if max(map(len, payloads), default=0) <= MAX_BYTES:  # what is derived from a path is remembered, thousands of times
        with contextlib.suppress(*UNDECODABLE):
            return list(map(decode, payloads))
    events = [_decode_one(payload) for payload in payloads]
    source.undecodable += events.count(None)
    return events


def _decode_one(payload: bytes) -> Optional[Event]:
    try:
        return decode(payload) if len(payload) <= MAX_BYTES else None
    except UNDECODABLE:
        return None
