"""The window of one session that takes events now, in memory and in the spool."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Optional

import msgspec

from recost.event import Event
from recost.session import Session
from recost.windows import Window
from recost.wire import to_frames
from recost_collector.changes import Part, StoredFrame
from recost_collector.counts import Counts
from recost_collector.credits import Credits, Held

MIN_EARLY_CLOSE_S = 1.0
"""A full window closes early at most this often per session: forty workers must not mean forty posts a second."""
COMPACT_AFTER = 64
"""Deltas of one open window in the spool before they are written anew as one."""


class _Delta(msgspec.Struct, array_like=True):
    """What one commit adds to an open window. Fields are only ever appended."""

    window: bytes
    parts: list[Part]
    credits: Held = []  # all of them, msgspec copies it
    log: bytes = b""


class OpenWindow:
    """The window of one session that takes events now: what is committed of it, and the delta since.

    ``now`` is monotonic seconds, ``wall_ns`` ns since the epoch.
    """

    def __init__(self, session_id: str, session: Session) -> None:
        self.session_id = session_id
        self.session = session
        self.parts: dict[str, Part] = {}
        """By ring: the stretch whose events are in this window."""
        self._counts = Counts(session)
        self._opened_at = 0.0
        self._closed_early_at = float("-inf")
        self._number = 0
        self._pending = 0

    @property
    def count(self) -> int:
        """Events in it."""
        return self._counts.count

    @property
    def fresh(self) -> Window:
        """What came in since the last commit."""
        return self._counts.delta()

    @property
    def holds_credits(self) -> bool:
        """Calls of the session are still to go without an estimate."""
        return bool(self._counts.credits)

    def add(self, events: Sequence[Optional[Event]], now: float) -> int:
        """Count ``events``, as many as it says: ``Counts.add``."""
        was_empty = not self.count
        taken = self._counts.add(events)
        if was_empty and self.count:
            self._opened_at = now
        return taken

    def drop_credits(self, wall_ns: int) -> bool:
        """Let go of credits that are all void, where nothing else is in here. True: what the spool has of them goes."""
        held = self._counts.credits
        if self.count or not held or not held.are_void(wall_ns):
            return False
        self._counts.credits = Credits()
        return True

    def take_credits(self, held: Held) -> None:
        """Those of an open window of the same session that was adopted.

        The adoption has committed them with our newest delta, or as the first one: they go with it.
        """
        self._number = max(self._number, 1)
        self._counts.take_credits(held)

    @property
    def credits(self) -> Held:
        return self._counts.credits.to_data()

    def cover(self, ring: str, start: int, position: int) -> None:
        """The events of ``ring`` from ``start`` up to ``position`` are in here."""
        part = self.parts.get(ring)
        self.parts[ring] = Part(ring, start if part is None else part.start, position)

    def is_due(self, now: float, *, older_waits: Callable[[str], bool]) -> bool:
        """True when the interval has passed, or enough events are in and closing early is allowed."""
        if now - self._opened_at >= self.session.flush_interval_ms / 1000:
            return True
        if self.count < self.session.max_batch_size or now - self._closed_early_at < MIN_EARLY_CLOSE_S:
            return False
        if older_waits(self.session_id):
            return False
        self._closed_early_at = now
        return True

    def close(self, wall_ns: int, next_id: Callable[[], int]) -> list[StoredFrame]:
        """The window's frames, and that of its log; from here on a new one is open."""
        window, log = self._counts.close()
        held = self._counts.credits
        held.is_changed = bool(held)  # they outlive the window, whose deltas go
        parts, self.parts = tuple(self.parts.values()), {}
        session = self.session
        started_ns = min(window.started_at_ns, wall_ns)
        summary = window.summary(
            session.destination.project_id,
            session.environment,
            session.sdk_version,
            start_ns=started_ns,
            end_ns=wall_ns,
        )
        frame = StoredFrame(
            id=0,
            destination=session.destination.id,
            session=self.session_id,
            key="",
            body=b"",
            sdk_version=session.sdk_version,
            entries=len(summary.metrics),
            closed_at_ms=wall_ns // 1_000_000,
            size=0,
            parts=parts,
        )
        frames = [_filled(frame, body, next_id()) for body in to_frames(summary, session.max_buckets)]
        if session.llm_log is not None and log.lines:
            # No ring waits for it: it has no calls of its own, it tells of those in the frames before it.
            of_log = msgspec.structs.replace(frame, destination=session.llm_log.id, entries=log.lines, parts=())
            frames.append(_filled(of_log, log.committed(), next_id()))
        return frames

    def delta(self) -> Optional[bytes]:
        """What the next commit has to add; None when nothing came in since the last."""
        delta = self._counts.delta()
        if not delta.count and not self._counts.credits.is_changed:
            return None
        return self._encode(delta, self._counts.log.new())

    def committed(self) -> None:
        """The delta is in the spool, and nothing came in meanwhile."""
        if self.fresh.count or self._counts.credits.is_changed:
            self._number += 1
            self._pending += 1
            self._counts.merge()
            self._counts.credits.committed()

    def snapshot(self) -> Optional[bytes]:
        """The whole committed window as one delta, when its deltas have become many."""
        if self._pending < COMPACT_AFTER:
            return None
        self._pending = 1
        return self._encode(self._counts.committed, self._counts.log.committed())

    @property
    def number(self) -> int:
        """Of the last delta that was committed."""
        return self._number

    def restore(self, deltas: Iterable[tuple[int, bytes]], now: float) -> None:
        """Take over what the last collector committed."""
        for number, body in deltas:
            delta = msgspec.msgpack.decode(body, type=_Delta)
            self._counts.committed.merge(Window.from_data(delta.window))
            self.parts.update({part.ring: part for part in delta.parts})
            self._counts.credits.replace(delta.credits)
            self._counts.log.restore(delta.log)
            self._number = number
            self._pending += 1
        self._opened_at = now

    def _encode(self, window: Window, log: bytes) -> bytes:
        delta = _Delta(window.to_data(), list(self.parts.values()), self._counts.credits.to_data(), log)
        return msgspec.msgpack.encode(delta)


def read_delta(body: bytes) -> Window:
    """What one commit has added to an open window."""
    return Window.from_data(msgspec.msgpack.decode(body, type=_Delta).window)


def with_credits(body: Optional[bytes], more: Held) -> bytes:
    """The newest delta of a window with ``more`` credits; one that adds nothing else where there is none."""
    delta = _Delta(Window(1).to_data(), []) if body is None else msgspec.msgpack.decode(body, type=_Delta)
    held = Credits()
    held.merge(delta.credits)
    held.merge(more)
    delta.credits = held.to_data()
    return msgspec.msgpack.encode(delta)


def _filled(frame: StoredFrame, body: bytes, frame_id: int) -> StoredFrame:
    return msgspec.structs.replace(frame, id=frame_id, key=secrets.token_hex(16), body=body, size=len(body))
