"""How delivery stands at one destination: order, retries, back-off, suspension. Pure: no thread, no I/O, no clock.

One frame at a time is under way and they go in order.  A frame is *settled* when it was delivered, parked,
dropped, or put back to wait (attempts used up, Retry-After, suspension, no key): that is what a worker's flush
waits for.  Settled frames that were put back are still tried again.
"""

from __future__ import annotations

import collections
import random
from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional

import msgspec

from recost.notice import Notice
from recost.session import Destination, Session
from recost_collector.changes import DestinationState, KeyState, StoredFrame
from recost_collector.exporters import Reject, Retry

BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 10.0)
PUT_BACK_S = 30.0
MAX_PUT_BACK_S = 300.0
JITTER = 0.2
PROBE_MS = 60_000
"""A suspended key gets one probe per ``init()``, and no more than one in this time."""
MAX_WAIT_MS = 24 * 3600 * 1000
"""Longer waits than this come from a clock that jumped, not from a service."""
RETRIED_AT_INIT = (403, 404)
"""What the next ``init()`` of the project may have mended: such frames are tried once more then."""


class Verdict(NamedTuple):
    """What an outcome means for frames and workers."""

    ok: bool = False
    settled: tuple[StoredFrame, ...] = ()
    """Frames that settle now; those that had before are not repeated."""
    gone: Optional[StoredFrame] = None
    """Delivered: it leaves the spool."""
    changed: Optional[StoredFrame] = None
    """Its row is to be written: parked, or one try more."""
    notices: tuple[Notice, ...] = ()


class Lane:
    """One destination. The loop's alone; ``now`` is monotonic seconds, ``wall_ms`` ms since the epoch."""

    def __init__(self, destination: Destination, state: DestinationState, session_of: Callable[[str], Session]) -> None:
        self.destination = destination
        self.state = state
        self.frames: collections.deque[StoredFrame] = collections.deque()
        self.parked: dict[int, StoredFrame] = {}
        self.under_way: Optional[StoredFrame] = None
        self.api_key = ""
        self.key_id = ""
        self.dirty = False
        """The state changed since the last commit."""
        self._session_of = session_of
        self._next_try_at = 0.0
        self._attempts = 0
        self._put_backs = 0
        self._flush_mark = 0
        self._episodes: set[str] = set()

    @property
    def needs_key(self) -> bool:
        return self.destination.url.startswith("http")

    @property
    def key_state(self) -> KeyState:
        return self.state.keys.setdefault(self.key_id, KeyState())

    def add(self, frame: StoredFrame) -> None:
        """Take a frame in: from the spool, or fresh."""
        if frame.parked:
            self.parked[frame.id] = frame
        else:
            self.frames.append(frame)

    def has_unsettled(self, session_id: str) -> bool:
        """True while a window of the session waits for its first fate."""
        return any(not frame.settled and frame.session == session_id for frame in self.frames)

    def is_blocked(self, wall_ms: int) -> bool:
        """Nothing may be sent: no key, suspended, or within a Retry-After."""
        if not self.needs_key:
            return False
        key = self.key_state
        return not self.api_key or key.suspended or wall_ms < min(key.wait_until_ms, wall_ms + MAX_WAIT_MS)

    def will_try_again(self) -> bool:
        """True when waiting can help: there are frames, and a key that is not refused."""
        return bool(self.frames) and not (self.needs_key and (not self.api_key or self.key_state.suspended))

    def next_frame(self, now: float, wall_ms: int) -> Optional[StoredFrame]:
        """The frame to send now, which is then under way; None when it is not the time."""
        if self.under_way is not None or not self.frames or self.is_blocked(wall_ms) or now < self._next_try_at:
            return None
        self.under_way = self.frames[0]
        return self.under_way

    def flush(self, wall_ms: int) -> Verdict:
        """One attempt at once for what is here, whatever the back-off says; within a block it settles instead."""
        if self.is_blocked(wall_ms):
            return Verdict(settled=self._settle(self.frames))
        if self.frames:
            self._flush_mark = self.frames[-1].id
            self._next_try_at = 0.0
        return Verdict()

    def register(self, destination: Destination, api_key: str, key_id: str, wall_ms: int) -> list[StoredFrame]:
        """A worker's first event: its key counts from now on. Returns parked frames that wait again."""
        self.destination = destination
        is_new = key_id != self.key_id
        self.api_key, self.key_id = api_key, key_id
        key = self.key_state
        if is_new:
            self._next_try_at = 0.0
        if 0 <= wall_ms - key.probed_at_ms < PROBE_MS:
            return []
        again = self._unpark()
        if again or key.suspended:
            key.suspended = False  # one probe: the count is still at its limit, so a 401 suspends again
            key.probed_at_ms = wall_ms
            self.dirty = True
        return again

    def succeed(self, frame: StoredFrame, wall_ms: int) -> Verdict:
        self.under_way = None
        self._remove(frame)
        self._attempts = self._put_backs = 0
        self._next_try_at = 0.0
        self._episodes.clear()
        self._clear_auth()
        self.state.delivered += 1
        self.state.delivered_at_ms = wall_ms
        self.dirty = True
        return Verdict(ok=True, settled=self._settle([frame]), gone=frame)

    def refuse(self, frame: StoredFrame, outcome: Reject, now: float) -> Verdict:
        """The destination will not have this frame: parked, or tried a few times an interval apart."""
        self.under_way = None
        self._clear_auth()
        frame.tries += 1
        frame.status, frame.reason = outcome.notice.status, outcome.notice.message
        if frame.tries < outcome.tries:
            self._next_try_at = now + self._session_of(frame.session).flush_interval_ms / 1000
            return Verdict(settled=self._settle_flushed(), changed=frame)
        self._remove(frame)
        frame.parked = True
        self.parked[frame.id] = frame
        self._attempts = 0
        settled = (*self._settle([frame]), *self._settle_flushed())
        return Verdict(settled=settled, changed=frame, notices=(self._first("parked", outcome.notice),))

    def retry(self, frame: StoredFrame, outcome: Retry, now: float, wall_ms: int) -> Verdict:
        """Not now: the frame stays first in line."""
        self.under_way = None
        self.state.last_error, self.state.last_error_at_ms = outcome.notice.message or outcome.notice.kind, wall_ms
        self.dirty = True
        session = self._session_of(frame.session)
        if outcome.notice.kind == "auth":
            return self._retry_auth(outcome, session, now)
        self._clear_auth()
        if outcome.notice.kind == "rate":
            wait_s = outcome.after_s or 0.0
            self.key_state.wait_until_ms = wall_ms + int(wait_s * 1000)
            return Verdict(settled=self._settle(self.frames), notices=(self._first("rate", outcome.notice),))
        return self._back_off(outcome, session, now)

    def drop(self, frame: StoredFrame) -> Verdict:
        """The spool is full and this frame is the oldest."""
        self._remove(frame)
        self.parked.pop(frame.id, None)
        self.state.dropped += 1
        self.dirty = True
        return Verdict(settled=self._settle([frame]), gone=frame)

    def _retry_auth(self, outcome: Retry, session: Session, now: float) -> Verdict:
        key = self.key_state
        key.auth_failures += 1
        failures = key.auth_failures
        notices = [self._first("auth", msgspec.structs.replace(outcome.notice, count=failures))]
        if failures < session.max_consecutive_auth_failures:
            self._next_try_at = now + session.flush_interval_ms / 1000
            return Verdict(settled=self._settle_flushed(), notices=tuple(notices))
        key.suspended = True
        if "suspended" not in self._episodes:
            notices.append(self._first("suspended", Notice("suspended", status=outcome.notice.status, count=failures)))
        return Verdict(settled=self._settle(self.frames), notices=tuple(notices))

    def _back_off(self, outcome: Retry, session: Session, now: float) -> Verdict:
        kind = outcome.notice.kind
        self._attempts += 1
        if self._attempts <= session.max_retries:
            pause_s = BACK_OFF_S[min(self._attempts, len(BACK_OFF_S)) - 1]
            self._next_try_at = now + max(_jittered(pause_s), outcome.after_s or 0.0)
            if kind != "file":
                return Verdict(settled=self._settle_flushed())
        else:
            pause_s = min(PUT_BACK_S * 2**self._put_backs, MAX_PUT_BACK_S)
            self._put_backs = min(self._put_backs + 1, 10)
            self._next_try_at = now + max(_jittered(pause_s), outcome.after_s or 0.0)
        if kind == "file" and "file" in self._episodes:
            return Verdict(settled=self._settle(self.frames))  # told once per episode
        return Verdict(settled=self._settle(self.frames), notices=(self._first(kind, outcome.notice),))

    def _first(self, episode: str, notice: Notice) -> Notice:
        first = episode not in self._episodes
        self._episodes.add(episode)
        return notice if first else msgspec.structs.replace(notice, first=False)

    def _clear_auth(self) -> None:
        if self.key_state.auth_failures:
            self.key_state.auth_failures = 0
            self.dirty = True
        self._episodes -= {"auth", "suspended"}

    def _settle_flushed(self) -> tuple[StoredFrame, ...]:
        mark, self._flush_mark = self._flush_mark, 0
        return self._settle(frame for frame in self.frames if frame.id <= mark)

    def _settle(self, frames: Iterable[StoredFrame]) -> tuple[StoredFrame, ...]:
        fresh = tuple(frame for frame in frames if not frame.settled)
        for frame in fresh:
            frame.settled = True
        return fresh

    def _remove(self, frame: StoredFrame) -> None:
        if frame in self.frames:
            self.frames.remove(frame)
        if self.under_way is frame:
            self.under_way = None

    def _unpark(self) -> list[StoredFrame]:
        again = [frame for frame in self.parked.values() if frame.status in RETRIED_AT_INIT]
        for frame in again:
            del self.parked[frame.id]
            frame.parked = False
        if again:
            self.frames = collections.deque(sorted([*self.frames, *again], key=lambda frame: frame.id))
        return again


def _jittered(pause_s: float) -> float:
    return pause_s * random.uniform(1 - JITTER, 1 + JITTER)
