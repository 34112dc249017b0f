"""The window of one session that takes events now, in memory and in the spool."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Optional

import msgspec

from recost.calls import BucketKey, Calls
from recost.classify import Classifier
from recost.event import CallEvent, Event, LlmEvent
from recost.llm.aliases import canonical
from recost.session import Session
from recost.windows import Window
from recost.wire import to_frames
from recost_collector.changes import Part, StoredFrame
from recost_collector.credits import Credits, Held
from recost_collector.llm_log import LlmLog

MIN_EARLY_CLOSE_S = 1.0
"""A full window closes early at most this often per session: forty workers must not mean forty posts a second."""
TRACKED = "TRACK"
"""In place of a method: an LLM call of which no HTTP call was captured."""
COMPACT_AFTER = 64
"""Deltas of one open window in the spool before they are written anew as one."""
MAX_KNOWN = 4096
"""Endpoints of which it is remembered where their calls are counted, with a path of at most 1024 characters each."""
MAX_UNCOUNTED = 1 << 16
"""Calls that are added up before the delta takes them: half a MB of durations."""


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
        self._classify = Classifier(session.custom_providers, normalize_paths=session.normalize_paths).classify
        self._max_buckets = session.max_buckets
        self._committed = Window(self._max_buckets)
        self._delta = Window(self._max_buckets)
        self._known: dict[tuple[str, str, str, str, bool], Calls] = {}
        self._alike: dict[tuple[BucketKey, str, int], Calls] = {}
        self._uncounted = 0
        self._credits = Credits()
        self._log = LlmLog()
        self._opened_at = 0.0
        self._closed_early_at = float("-inf")
        self._number = 0
        self._pending = 0

    @property
    def count(self) -> int:
        """Events in it."""
        return self._committed.count + self._delta.count + self._uncounted

    @property
    def fresh(self) -> Window:
        """What came in since the last commit."""
        return self._count_calls()

    @property
    def holds_credits(self) -> bool:
        """Calls of the session are still to go without an estimate."""
        return bool(self._credits)

    def add(self, events: Sequence[Optional[Event]], now: float) -> int:
        """Count ``events``, as many as it says: all up to the first that needs a bucket too many.

        Before that one the window must be closed.  None stands for a record without event.
        """
        was_empty = not self.count
        taken = self._add_up(events)
        if was_empty and self.count:
            self._opened_at = now
        if self._uncounted >= MAX_UNCOUNTED or len(self._alike) >= MAX_KNOWN:
            self._count_calls()
        return taken

    def _add_up(self, events: Sequence[Optional[Event]]) -> int:  # noqa: C901 - hot, so no calls
        """Of a million calls a second, each is decoded, looked up by where it went, and added to four sums."""
        known = self._known
        added = 0
        for taken, event in enumerate(events):
            if type(event) is CallEvent:
                try:
                    calls = known[event.netloc, event.path, event.method, event.tag, event.is_llm]
                except KeyError:
                    found = self._calls_like(event)
                    if found is None:
                        break
                    calls = found
                try:
                    calls.durations_ns.append(event.duration_ns)
                except OverflowError:
                    calls.durations_ns.append(0)
                status = event.status
                if status >= 400 or not status:
                    calls.errors += 1
                calls.request_bytes += event.request_bytes
                calls.response_bytes += event.response_bytes
                if event.at_ns < calls.started_at_ns:
                    calls.started_at_ns = event.at_ns
                added += 1
            elif event is not None:
                self._uncounted += added  # before they are counted for it
                added = 0
                if not self._add_llm(event):
                    break
        else:
            taken = len(events)
        self._uncounted += added
        return taken

    def _calls_like(self, event: CallEvent) -> Optional[Calls]:
        """Those that ``event`` is to be added to. None: it needs one bucket too many."""
        key, cost = self._classify(event.netloc, event.path, event.method)
        if self._delta.would_overflow(key, self._max_buckets, self._committed):
            return None
        # What holds for this call holds for all like it, unless there are credits, of which each call takes its own.
        is_rule = not cost or not self._credits
        if cost and (event.is_llm or (self._credits and self._takes_credit(key, event))):
            cost = 0
        calls = self._alike.get((key, event.tag, cost))
        if calls is None:
            self._delta.open(key, event.tag, cost)
            calls = self._alike[key, event.tag, cost] = Calls(key, event.tag, cost, event.at_ns)
        if is_rule:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[event.netloc, event.path, event.method, event.tag, event.is_llm] = calls
        return calls

    def _count_calls(self) -> Window:
        """Count what is added up, and forget what is known: the delta, which has everything from here on."""
        for calls in self._alike.values():
            self._delta.take(calls)
        self._alike.clear()
        self._known.clear()
        self._uncounted = 0
        return self._delta

    def drop_credits(self, wall_ns: int) -> bool:
        """Let go of credits that are all void, where nothing else is in here. True: what the spool has of them goes."""
        if self.count or not self._credits or not self._credits.are_void(wall_ns):
            return False
        self._credits = Credits()
        return True

    def take_credits(self, held: Held) -> None:
        """Those of an open window of the same session that was adopted."""
        self._count_calls()
        self._credits.merge(held)

    @property
    def credits(self) -> Held:
        return self._credits.to_data()

    def _add_llm(self, event: LlmEvent) -> bool:
        """The call's true cost goes where its HTTP call is counted, else into a row of its own.

        Where the true cost is not known, the estimate that the HTTP call did not get is added after all.
        """
        key, cost = (event.provider, event.model, TRACKED), max(0, event.cost_pico_usd)
        if event.netloc:
            key, estimate = self._classify(event.netloc, event.path, event.method)
            cost = cost if event.is_priced else estimate
        if self._log.is_full or self._delta.would_overflow(key, self._max_buckets, self._committed):
            return False
        self._delta.add_llm(key, event, cost)
        if self.session.llm_log is not None:
            self._log.add(event, self.session.environment)
        if event.by_hand and event.is_priced and not self._take_estimate(event):
            self._credits.add(event.provider, event.at_ns + event.duration_ns)
        return True

    def _take_estimate(self, event: LlmEvent) -> bool:
        """Off one captured call to the same provider, of the kind that was seen last for the first time."""
        delta, committed = self._count_calls(), self._committed
        keys = [*(key for key in committed.estimated() if key not in delta.estimated()), *delta.estimated()]
        of_provider = (key for key in reversed(keys) if canonical(key[0]) == event.provider)
        return any(delta.take_estimate(key, event.tag, committed) for key in of_provider)

    def _takes_credit(self, key: BucketKey, event: CallEvent) -> bool:
        return self._credits.take(canonical(key[0]), event.at_ns + event.duration_ns)

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
        self._merge_delta()
        window, parts, log = self._committed, tuple(self.parts.values()), self._log
        self._credits.is_changed = bool(self._credits)  # they outlive the window, whose deltas go
        self._committed, self.parts, self._log = Window(self._max_buckets), {}, LlmLog()
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
        delta = self._count_calls()
        if not delta.count and not self._credits.is_changed:
            return None
        return self._encode(delta, self._log.new())

    def committed(self) -> None:
        """The delta is in the spool, and nothing came in meanwhile."""
        if self._delta.count or self._credits.is_changed:
            self._number += 1
            self._pending += 1
            self._merge_delta()
            self._credits.committed()

    def snapshot(self) -> Optional[bytes]:
        """The whole committed window as one delta, when its deltas have become many."""
        if self._pending < COMPACT_AFTER:
            return None
        self._pending = 1
        return self._encode(self._committed, self._log.committed())

    @property
    def number(self) -> int:
        """Of the last delta that was committed."""
        return self._number

    def restore(self, deltas: Iterable[tuple[int, bytes]], now: float) -> None:
        """Take over what the last collector committed."""
        for number, body in deltas:
            delta = msgspec.msgpack.decode(body, type=_Delta)
            self._committed.merge(Window.from_data(delta.window))
            self.parts.update({part.ring: part for part in delta.parts})
            self._credits.replace(delta.credits)
            self._log.restore(delta.log)
            self._number = number
            self._pending += 1
        self._opened_at = now

    def _encode(self, window: Window, log: bytes) -> bytes:
        delta = _Delta(window.to_data(), list(self.parts.values()), self._credits.to_data(), log)
        return msgspec.msgpack.encode(delta)

    def _merge_delta(self) -> None:
        self._committed.merge(self._count_calls())
        self._delta = Window(self._max_buckets)
        self._log.merge_new()


def read_delta(body: bytes) -> Window:
    """What one commit has added to an open window."""
    return Window.from_data(msgspec.msgpack.decode(body, type=_Delta).window)


def _filled(frame: StoredFrame, body: bytes, frame_id: int) -> StoredFrame:
    return msgspec.structs.replace(frame, id=frame_id, key=secrets.token_hex(16), body=body, size=len(body))
