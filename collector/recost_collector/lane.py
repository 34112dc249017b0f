"""How delivery stands at one destination: order, retries, suspension. Pure: no thread, no I/O, no clock.

Frames go out in order, one under way at a time.  A frame is *settled* when it was delivered, parked, dropped, or put
back to wait (retries used up, Retry-After, suspension, no key): that is what a worker's flush waits for.  What was
put back is still tried, and settles no second time.

Each attempt ends in a ``Verdict``.  Its notices are for the workers with events in the frame that was tried, or in
one that this outcome put back.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional, Union

import msgspec

from recost.notice import Notice
from recost.session import Destination, Session
from recost_collector.changes import DestinationState, KeyState, StoredFrame
from recost_collector.exporters import Reject, Retry
from recost_collector.pace import Pace

INIT_MS = 60_000
"""What an ``init()`` permits, a probe of a suspended key and another try of parked frames, happens no more than once
in this time: a server with forty workers has forty of them."""
MAX_WAIT_MS = 25 * 3600 * 1000
"""Longer waits than this come from a clock that was set back, not from a service."""
MAX_KEYS = 16
"""States of keys that are kept for a destination."""
RETRIED_AT_INIT = (403, 404)
"""What the next ``init()`` of the project may have mended: such frames are tried once more then."""


class Verdict(NamedTuple):
    """What an outcome means for frames and workers."""

    ok: bool = False
    settled: tuple[StoredFrame, ...] = ()
    """Frames that settle now, and one that is delivered after it was put back: its workers see the new status."""
    gone: Optional[StoredFrame] = None
    """It leaves the spool: delivered, or dropped."""
    changed: tuple[StoredFrame, ...] = ()
    """Their rows are to be written, as are those of ``settled``."""
    notices: tuple[Notice, ...] = ()
    concerned: tuple[StoredFrame, ...] = ()
    """The notices are for the workers with events in these."""
    once: bool = False
    """A worker that has heard of such trouble in this episode does not hear of it again."""


class Lane:
    """One destination. The loop's alone; ``now`` is monotonic seconds, ``wall_ms`` ms since the epoch.

    401s, suspension and Retry-After belong to a key and are in ``state``, which the spool keeps.  The rest of what a
    lane knows is forgotten with the process: its successor simply tries.
    """

    def __init__(self, destination: Destination, state: DestinationState, session_of: Callable[[str], Session]) -> None:
        self.destination = destination
        self.state = state
        self.frames: collections.deque[StoredFrame] = collections.deque()
        self.parked: dict[int, StoredFrame] = {}
        self.unsettled: dict[int, StoredFrame] = {}
        """Those of ``frames`` that wait for their first fate, in order."""
        self.under_way: Optional[StoredFrame] = None
        self.api_key = ""
        self.key_id = ""
        self.dirty = False
        """``state`` changed since somebody last looked."""
        self._session_of = session_of
        self._pace = Pace()
        self._sent_with = ""
        """Id of the key that the frame under way went out with: another may be registered meanwhile."""
        self._flush_mark = 0
        """Frames up to this id are tried at once, until an attempt fails."""
        self._init_seen = False
        self._may_probe = False
        self._limit: Optional[Notice] = None
        """The 429 whose Retry-After is in force."""

    @property
    def key_state(self) -> KeyState:
        """How it stands with the key that is in use."""
        return self._state_of(self.key_id)

    @property
    def lacks_key(self) -> bool:
        return not self.api_key and self.destination.url.startswith("http")

    def add(self, frame: StoredFrame) -> None:
        """Take a frame in: from the spool, or fresh."""
        if frame.parked:
            self.parked[frame.id] = frame
            return
        self.frames.append(frame)
        if not frame.settled:
            self.unsettled[frame.id] = frame

    def register(self, destination: Destination, api_key: str, key_id: str) -> None:
        """A worker has made its first call: its key and its way to the destination count from now on."""
        self.destination = destination
        self._init_seen = True
        if key_id != self.key_id:
            self.api_key, self.key_id = api_key, key_id
            self._may_probe = False
            self._limit = None
            self._pace.at_once()
            self._forget_old_keys()

    def has_waiting(self, session_id: str) -> bool:
        """True while a window of the session is not delivered, put back or not. Parked ones wait for nothing."""
        return any(frame.session == session_id for frame in self.frames)

    def is_blocked(self, wall_ms: int) -> bool:
        """Nothing may be sent, whoever asks: no key, suspended, or within a Retry-After."""
        key = self.key_state
        is_suspended = key.suspended and not self._may_probe
        return self.lacks_key or is_suspended or 0 < key.wait_until_ms - wall_ms <= MAX_WAIT_MS

    def will_try_again(self) -> bool:
        """True when waiting can help: there are frames, and a key that is not refused."""
        return bool(self.frames) and not self.lacks_key and not self.key_state.suspended

    def look(self, wall_ms: int) -> Verdict:
        """Once a turn: what an ``init()`` permits, and what a block puts back."""
        again = self._follow_init(wall_ms)
        return self._put_back_if_blocked(wall_ms)._replace(changed=again)

    def flush(self, wall_ms: int) -> Verdict:
        """One attempt at once for what is here, whatever the back-off says; within a block it is put back instead."""
        if self.frames and not self.is_blocked(wall_ms):
            self._flush_mark = self.frames[-1].id
        return self._put_back_if_blocked(wall_ms)

    def next_frame(self, now: float, wall_ms: int) -> Optional[StoredFrame]:
        """The frame to send now, which then is under way; None when it is not the time."""
        if self.under_way is not None or not self.frames or self.is_blocked(wall_ms):
            return None
        frame = self.frames[0]
        if frame.id > self._flush_mark and not self._pace.is_due(now):
            return None
        if self.key_state.suspended:
            if not self.unsettled:
                return None  # a probe waits for a window of whoever came: that is who its answer is for
            self.key_state.probed_at_ms = wall_ms
            self.dirty = True
        self.under_way, self._sent_with = frame, self.key_id
        return frame

    def conclude(self, result: Union[Retry, Reject, None], now: float, wall_ms: int) -> Verdict:
        """What became of the frame under way. None: it is there."""
        frame, self.under_way = self.under_way, None
        assert frame is not None
        self.dirty = True
        if self._sent_with == self.key_id:
            self._may_probe = False
            self._limit = None
        if result is None:
            return self._delivered(frame, wall_ms)
        notice = result.notice
        self.state.last_error, self.state.last_error_at_ms = notice.message or notice.kind, wall_ms
        if notice.kind == "auth":
            return self._key_refused(frame, notice, now)
        self._key_not_refused()
        if isinstance(result, Reject):
            return self._refused(frame, result, now)
        if result.after_s and notice.status:
            self._state_of(self._sent_with).wait_until_ms = wall_ms + int(result.after_s * 1000)
        if notice.kind == "rate":
            return self._limited(frame, notice)
        return self._failed(frame, result, now)

    def drop(self, frame: StoredFrame) -> Verdict:
        """Lose a frame that is not under way: the spool is full."""
        self._remove(frame)
        self.parked.pop(frame.id, None)
        self.state.dropped += 1
        self.dirty = True
        return Verdict(settled=self._settle([frame]), gone=frame)

    def _delivered(self, frame: StoredFrame, wall_ms: int) -> Verdict:
        self._key_not_refused()
        self._remove(frame)
        self._settle([frame])
        self._pace.answered()
        self._pace.at_once()
        self.state.delivered += 1
        self.state.delivered_at_ms = wall_ms
        return Verdict(ok=True, settled=(frame,), gone=frame)

    def _key_refused(self, frame: StoredFrame, notice: Notice, now: float) -> Verdict:
        """401: the same window is tried again a flush interval later, until there were too many in a row."""
        session, key = self._session_of(frame.session), self._state_of(self._sent_with)
        was_suspended = key.suspended
        key.auth_failures += 1
        key.suspended = was_suspended or key.auth_failures >= session.max_consecutive_auth_failures
        notices = [msgspec.structs.replace(notice, count=key.auth_failures)]
        if key.suspended and not was_suspended:
            notices.append(Notice("suspended", status=notice.status, count=key.auth_failures))
        self._pace.answered()
        if self._sent_with != self.key_id:  # the new key takes the frame over at once
            return Verdict(notices=tuple(notices), concerned=(frame,))
        if self._pace.is_due(now):
            self._pace.wait(now, session.flush_interval_ms / 1000)
        settled = self._settle_all() if key.suspended else self._settle_flushed()
        return Verdict(settled=settled, notices=tuple(notices), concerned=(frame, *settled))

    def _key_not_refused(self) -> None:
        """Any outcome but a 401, a failure of the network too."""
        key = self._state_of(self._sent_with)
        key.auth_failures = 0
        key.suspended = False

    def _refused(self, frame: StoredFrame, result: Reject, now: float) -> Verdict:
        """The destination will not have this frame: it is parked, at once or after a few tries."""
        self._pace.answered()
        frame.status, frame.reason = result.notice.status, result.notice.message
        if result.tries == 1 or self._pace.is_due(now):
            frame.tries += 1
            self._pace.wait(now, self._session_of(frame.session).flush_interval_ms / 1000)
        if frame.tries < result.tries:
            settled = self._settle_flushed()
        else:
            settled = self._park(frame)
        concerned = (frame, *(put_back for put_back in settled if put_back is not frame))
        return Verdict(settled=settled, changed=(frame,), notices=(result.notice,), concerned=concerned)

    def _park(self, frame: StoredFrame) -> tuple[StoredFrame, ...]:
        """Set it aside; the next ones go on, and a flush that waits for them is not answered yet."""
        self._remove(frame)
        frame.parked = True
        self.parked[frame.id] = frame
        self._pace.at_once()
        return self._settle([frame])

    def _limited(self, frame: StoredFrame, notice: Notice) -> Verdict:
        """429: everything waits."""
        self._pace.answered()
        if self._sent_with != self.key_id:  # the limit is not the new key's
            return Verdict(notices=(notice,), concerned=(frame,))
        self._pace.at_once()
        self._limit = notice
        settled = self._settle_all()
        return Verdict(settled=settled, notices=(notice,), concerned=(frame, *settled))

    def _failed(self, frame: StoredFrame, result: Retry, now: float) -> Verdict:
        """No answer, or one that says that the service has failed. A file has no retries to use up: it says so."""
        is_file = result.notice.kind == "file"
        retries = self._session_of(frame.session).max_retries
        if not self._pace.failed(now, retries, result.after_s or 0.0) and not is_file:
            return Verdict(settled=self._settle_flushed())
        settled = self._settle_all()
        return Verdict(settled=settled, notices=(result.notice,), concerned=(frame, *settled), once=is_file)

    def _put_back_if_blocked(self, wall_ms: int) -> Verdict:
        """Windows that meet a block settle at once, and their workers hear why if they have not heard yet."""
        if not self.unsettled or not self.is_blocked(wall_ms):
            return Verdict()
        key, notices = self.key_state, tuple[Notice, ...]()
        if key.suspended:
            notices = (Notice("suspended", status=401, count=key.auth_failures),)
        elif self._limit is not None:
            notices = (msgspec.structs.replace(self._limit, retry_after_ms=key.wait_until_ms - wall_ms),)
        settled = self._settle_all()
        return Verdict(settled=settled, notices=notices, concerned=settled, once=True)

    def _follow_init(self, wall_ms: int) -> tuple[StoredFrame, ...]:
        """An ``init()`` permits one probe of a suspended key, and one more try of some parked frames: these."""
        key = self.key_state
        if not self._init_seen or 0 <= wall_ms - key.probed_at_ms < INIT_MS:
            return ()
        self._init_seen = False
        self._may_probe = key.suspended
        again = tuple(frame for frame in self.parked.values() if frame.status in RETRIED_AT_INIT)
        if again:
            key.probed_at_ms = wall_ms
            self.dirty = True
        for frame in again:
            del self.parked[frame.id]
            frame.parked = False
        self.frames = collections.deque(sorted([*self.frames, *again], key=lambda frame: frame.id))
        return again

    def _settle_all(self) -> tuple[StoredFrame, ...]:
        self._flush_mark = 0
        return self._settle(self.unsettled.values())

    def _settle_flushed(self) -> tuple[StoredFrame, ...]:
        """An attempt failed that a flush had asked for: that is the answer for all that it asked for."""
        mark, self._flush_mark = self._flush_mark, 0
        return self._settle(frame for frame in self.unsettled.values() if frame.id <= mark)

    def _settle(self, frames: Iterable[StoredFrame]) -> tuple[StoredFrame, ...]:
        fresh = tuple(frame for frame in frames if not frame.settled)
        for frame in fresh:
            frame.settled = True
            self.unsettled.pop(frame.id, None)
        return fresh

    def _remove(self, frame: StoredFrame) -> None:
        if frame in self.frames:
            self.frames.remove(frame)

    def _state_of(self, key_id: str) -> KeyState:
        return self.state.keys.setdefault(key_id, KeyState())

    def _forget_old_keys(self) -> None:
        keys = self.state.keys
        old = [name for name in keys if name not in (self.key_id, self._sent_with)]
        for name in [name for name in old if keys[name] == KeyState()] + old[:-MAX_KEYS]:
            keys.pop(name, None)
