"""What crosses the spool: frames, how delivery stands, what one turn wants to be true, what a new leader takes over."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec

from recost.ring.reader import Cursor
from recost.session import Destination, Session
from recost_collector.credits import Held

FINISHED = -2
"""In place of a cursor's sequence: the ring is emptied and counted for good, its file only waits to be removed."""

# Checked where a row is read: the words of a ring hold no number below zero, and none much larger.
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]


class Part(NamedTuple):
    """The stretch of a ring whose events are in a frame: behind ``start``, up to ``position``."""

    ring: str
    start: int
    position: int


class StoredFrame(msgspec.Struct):
    """A closed window on its way. ``id`` is its place in the order."""

    id: _Count
    destination: str
    session: str
    key: str
    body: bytes
    """Empty once committed: ``Spool.body`` has it, memory does not."""
    sdk_version: str
    entries: _Count
    closed_at_ms: _Count
    size: _Count
    """Of the body, in bytes."""
    parked: bool = False
    settled: bool = False
    tries: _Count = 0
    status: _Count = 0
    reason: str = ""
    parts: tuple[Part, ...] = ()


def with_status(reason: str, status: int) -> str:
    """Why a frame was refused, with the status if the reason does not name it."""
    return f"{reason} ({status})" if status and str(status) not in reason else reason


class KeyState(msgspec.Struct):
    """How delivery stands for one (destination, key). Times: ms since the epoch."""

    auth_failures: _Count = 0
    suspended: bool = False
    wait_until_ms: _Count = 0
    """Retry-After: nothing is sent before."""
    probed_at_ms: _Count = 0
    wait_ms: _Count = 0
    """How long Retry-After asked to wait: when more than that is left, the clock was set back."""


class DestinationState(msgspec.Struct):
    """How delivery stands at one destination, over all its keys."""

    keys: dict[str, KeyState] = msgspec.field(default_factory=dict)
    delivered: _Count = 0
    delivered_at_ms: _Count = 0
    dropped: _Count = 0
    last_error: str = ""
    last_error_at_ms: _Count = 0
    last_kind: str = ""
    """Of the notice that ``last_error`` is from; empty: of a collector that did not note it."""


class Changes:
    """What one turn wants to be true at once."""

    def __init__(self) -> None:
        self.cursors: dict[str, Cursor] = {}
        self.forgotten_rings: list[str] = []
        self.sessions: dict[str, Session] = {}
        self.forgotten_sessions: list[str] = []
        self.deltas: list[tuple[str, int, bytes]] = []
        self.compacted: list[tuple[str, int, bytes]] = []
        """(session, number, body): replaces every delta of the session up to that number."""
        self.closed_windows: list[tuple[str, int]] = []
        """(session, number): the window up to that delta became frames."""
        self.new_frames: list[StoredFrame] = []
        self.changed_frames: list[StoredFrame] = []
        self.gone_frames: list[int] = []
        self.destinations: dict[str, tuple[Destination, DestinationState]] = {}
        self.forgotten_destinations: list[str] = []
        """One that is in ``destinations``, too, is needed again."""
        self.counters: dict[str, int] = {}
        self.credits: dict[str, Held] = {}
        """By session: of open windows that were adopted. In the spool they are with its deltas."""

    @property
    def finished_rings(self) -> list[str]:
        """Once this is true, their files go; once those are gone, their cursors are forgotten."""
        return [name for name, cursor in self.cursors.items() if cursor.sequence == FINISHED]

    def remember_session(self, name: str) -> None:
        """It is needed again before it was forgotten."""
        if name in self.forgotten_sessions:
            self.forgotten_sessions.remove(name)

    def __bool__(self) -> bool:
        return any(vars(self).values())


class Kept(NamedTuple):
    """Everything a new collector takes over."""

    cursors: dict[str, Cursor]
    sessions: dict[str, Session]
    deltas: dict[str, list[tuple[int, bytes]]]
    frames: list[StoredFrame]
    destinations: dict[str, tuple[Destination, DestinationState]]
    counters: dict[str, int]
