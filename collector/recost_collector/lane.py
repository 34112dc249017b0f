"""How delivery stands at one destination: order, retries, what is put back and what is parked. Pure.

Frames go out in order, one under way at a time.  A frame is *settled* when it was delivered, parked, dropped, or put
back to wait (retries used up, Retry-After, suspension, no key): that is what a worker's flush waits for.  What was
put back is still tried, and settles no second time.

Each attempt ends in a ``Verdict``.  Its notices are for the workers with events in the frame that was tried, or in
one that this outcome put back.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, Optional, Union

from recost.notice import Notice
from recost.session import Destination, Session
from recost_collector.changes import DestinationState, StoredFrame
from recost_collector.exporters import Reject, Retry
from recost_collector.pace import Pace, patience_with
from recost_collector.standing import Standing

RETRIED_AT_INIT = (403, 404)
"""What the next ``init()`` of the project may have mended: frames parked for it are tried once more then."""


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


NOTHING = Verdict()


class Lane:
    """One destination. The loop's alone; ``now`` is monotonic seconds, ``wall_ms`` ms since the epoch.

    What the spool keeps is in ``state``.  The rest is forgotten with the process: its successor simply tries.
    """

    def __init__(self, destination: Destination, state: DestinationState, session_of: Callable[[str], Session]) -> None:
        self.destination = destination
        self.state = state
        self.standing = Standing(state.keys, needs_key=destination.url.startswith("http"))
        self.frames: collections.deque[StoredFrame] = collections.deque()
        self.parked: dict[int, StoredFrame] = {}
        self.unsettled: dict[int, StoredFrame] = {}
        """Those of ``frames`` that wait for their first fate, in order."""
        self.sessions: collections.Counter[str] = collections.Counter()
        """How many frames are here by session, parked ones included. Counted as they come and go, like ``bytes``."""
        self.bytes = 0
        self.under_way: Optional[StoredFrame] = None
        self.dirty = False
        """``state`` changed since it was last written."""
        self._session_of = session_of
        self._patience = patience_with(destination.url)
        self._pace = Pace(self._patience)
        self._flush_mark = 0
        """Frames up to this id are tried at once, until an attempt fails."""

    def add(self, frame: StoredFrame) -> None:
        """Take a frame in: from the spool, or fresh."""
        self.sessions[frame.session] += 1
        self.bytes += frame.size
        if frame.parked:
            self.parked[frame.id] = frame
            return
        self.frames.append(frame)
        if not frame.settled:
            self.unsettled[frame.id] = frame

    def register(self, destination: Destination, api_key: str, key_id: str, *, is_init: bool = True) -> None:
        """A worker's key and its way to the destination count from now on. ``is_init``: it has just started."""
        self.destination = destination
        if self.standing.use(api_key, key_id, is_init=is_init):
            self._pace.at_once()

    def has_waiting(self, session_id: str) -> bool:
        """True while a window of the session is not delivered, put back or not. Parked ones wait for nothing."""
        return any(frame.session == session_id for frame in self.frames)

    def will_try_again(self) -> bool:
        """True when time alone can help."""
        return bool(self.frames) and not self.standing.is_refused

    def worth_remembering(self, wall_ms: int) -> tuple[bool, int]:
        """Sorts lanes that nobody uses: those last used come last, and after them those whose keys are in trouble."""
        return self.standing.is_in_trouble(wall_ms), max(self.state.delivered_at_ms, self.state.last_error_at_ms)

    def retry(self, frames: Collection[StoredFrame]) -> None:
        """These, which are parked, wait again, each in its place."""
        for frame in frames:
            del self.parked[frame.id]
            frame.parked = False
        self.frames = collections.deque(sorted([*self.frames, *frames], key=lambda frame: frame.id))

    def look(self, wall_ms: int) -> Verdict:
        """Once a turn: what an ``init()`` permits, and what a block puts back."""
        again = self._unpark(wall_ms) if self.standing.follow_init(wall_ms) else ()
        return self._put_back_if_blocked(wall_ms)._replace(changed=again)

    def flush(self, wall_ms: int) -> Verdict:
        """One attempt at once for what is here, whatever the back-off says; within a block it is put back instead."""
        if self.frames and not self.standing.is_blocked(wall_ms):
            self._flush_mark = self.frames[-1].id
        return self._put_back_if_blocked(wall_ms)

    @property
    def is_flushing(self) -> bool:
        """True until all that the last flush asked for went out, or an attempt failed."""
        return bool(self.frames) and self.frames[0].id <= self._flush_mark

    def next_frame(self, now: float, wall_ms: int) -> Optional[StoredFrame]:
        """The frame to send now, which then is under way; None when it is not the time."""
        if self.under_way is not None or not self.frames or self.standing.is_blocked(wall_ms):
            return None
        frame = self.frames[0]
        if frame.id > self._flush_mark and not self._pace.is_due(now):
            return None
        if self.standing.state.suspended and not self.unsettled:
            return None  # a probe waits for a window of whoever came: that is who its answer is for
        self.dirty = self.standing.sends(wall_ms) or self.dirty
        self.under_way = frame
        return frame

    def conclude(self, result: Union[Retry, Reject, None], now: float, wall_ms: int) -> Verdict:
        """What became of the frame under way. None: it is there."""
        frame, self.under_way = self.under_way, None
        if frame is None:
            raise LookupError("nothing is under way")
        self.dirty = True
        self.standing.concluded()
        if result is None:
            return self._delivered(frame, wall_ms)
        notice = result.notice
        self.state.last_error, self.state.last_error_at_ms = notice.message or notice.kind, wall_ms
        self.state.last_kind = notice.kind
        if notice.kind == "auth":
            return self._key_refused(frame, notice, now)
        self.standing.not_refused()
        if isinstance(result, Reject):
            return self._refused(frame, result, now)
        if result.after_s and notice.status:
            self.standing.wait(result.after_s, wall_ms, notice if notice.kind == "rate" else None)
        if notice.kind == "rate":
            return self._limited(frame, notice)
        return self._failed(frame, result, now)

    def oldest(self) -> Optional[StoredFrame]:
        """The frame that a full spool loses first: not the one that is under way."""
        waiting = (frame for frame in self.frames if frame is not self.under_way)
        first = [next(waiting, None), next(iter(self.parked.values()), None)]
        return min((frame for frame in first if frame is not None), key=lambda frame: frame.id, default=None)

    def surplus(self) -> list[StoredFrame]:
        """The oldest frames beyond what may wait here; not the one that is under way."""
        bound = self._patience.max_waiting
        if not bound or len(self.frames) <= bound:
            return []
        waiting = [frame for frame in self.frames if frame is not self.under_way]
        return waiting[: len(waiting) - bound] if len(waiting) > bound else []

    def drop(self, frame: StoredFrame) -> Verdict:
        """Lose a frame that is not under way: there is no room, or nobody wants it."""
        self._leave(frame)
        self.state.dropped += 1
        self.dirty = True
        return Verdict(settled=self._settle([frame]), gone=frame)

    def _delivered(self, frame: StoredFrame, wall_ms: int) -> Verdict:
        self.standing.not_refused()
        self._leave(frame)
        self._settle([frame])
        self._pace.answered()
        self._pace.at_once()
        self.state.delivered += 1
        self.state.delivered_at_ms = wall_ms
        return Verdict(ok=True, settled=(frame,), gone=frame)

    def _key_refused(self, frame: StoredFrame, notice: Notice, now: float) -> Verdict:
        """401: the same window again a flush interval later, until there were too many in a row."""
        session = self._session_of(frame.session)
        notices = self.standing.refused(notice, session.max_consecutive_auth_failures)
        self._pace.answered()
        if self.standing.was_replaced:  # the new key takes the frame over at once
            return Verdict(notices=notices, concerned=(frame,))
        if self.standing.is_refused:
            self._pace.at_once()  # what goes out next is a probe, or has another key
            settled = self._settle_all()
        else:
            self._pace.wait(now, session.flush_interval_ms / 1000)
            settled = self._settle_flushed()
        return Verdict(settled=settled, notices=notices, concerned=(frame, *settled))

    def _refused(self, frame: StoredFrame, result: Reject, now: float) -> Verdict:
        """The destination will not have this frame: it is parked, at once or after a few tries."""
        frame.status, frame.reason = result.notice.status, result.notice.message
        if result.tries == 1 or self._pace.is_due(now):
            frame.tries += 1
        self._pace.answered()
        self._pace.wait(now, self._session_of(frame.session).flush_interval_ms / 1000)
        settled = self._settle_flushed() if frame.tries < result.tries else self._park(frame)
        concerned = (frame, *settled)
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
        if self.standing.was_replaced:  # the limit is not the new key's
            return Verdict(notices=(notice,), concerned=(frame,))
        self._pace.at_once()
        settled = self._settle_all()
        return Verdict(settled=settled, notices=(notice,), concerned=(frame, *settled))

    def _failed(self, frame: StoredFrame, result: Retry, now: float) -> Verdict:
        """No answer, or one that says that the service has failed. A file's trouble is told without any retries."""
        is_file = result.notice.kind == "file"
        retries = self._session_of(frame.session).max_retries
        if not self._pace.failed(now, retries, result.after_s or 0.0) and not is_file:
            return Verdict(settled=self._settle_flushed())
        notice = self._give_up(result.notice) if self._pace.is_exhausted else result.notice
        settled = self._settle_all()
        return Verdict(settled=settled, notices=(notice,), concerned=(frame, *settled), once=is_file)

    def _give_up(self, notice: Notice) -> Notice:
        """Nobody will be there. An ``init()`` starts afresh."""
        text = (
            f"given up until the next init(), after {self._patience.gives_up_after} failures in a row: {notice.message}"
            ' Without a listener use local_transport="file".'
        )
        self._pace.answered()
        given_up = Notice("given_up", text)
        self.state.last_error, self.state.last_kind = text, given_up.kind
        self.standing.give_up(given_up)
        return given_up

    def _put_back_if_blocked(self, wall_ms: int) -> Verdict:
        """Windows that meet a block settle at once, and their workers hear why unless they have heard."""
        if not self.unsettled or not self.standing.is_blocked(wall_ms):
            return NOTHING
        settled = self._settle_all()
        return Verdict(settled=settled, notices=self.standing.explain_block(wall_ms), concerned=settled, once=True)

    def _unpark(self, wall_ms: int) -> tuple[StoredFrame, ...]:
        again = tuple(frame for frame in self.parked.values() if frame.status in RETRIED_AT_INIT)
        if again:
            self.retry(again)
            self.standing.state.probed_at_ms = wall_ms
            self.dirty = True
        return again

    def _settle_all(self) -> tuple[StoredFrame, ...]:
        self._flush_mark = 0
        return self._settle(list(self.unsettled.values()))

    def _settle_flushed(self) -> tuple[StoredFrame, ...]:
        """An attempt failed that a flush had asked for: that is the answer for all that it asked for."""
        mark, self._flush_mark = self._flush_mark, 0
        return self._settle([frame for frame in self.unsettled.values() if frame.id <= mark])

    def _settle(self, frames: Iterable[StoredFrame]) -> tuple[StoredFrame, ...]:
        fresh = tuple(frame for frame in frames if not frame.settled)
        for frame in fresh:
            frame.settled = True
            self.unsettled.pop(frame.id, None)
        return fresh

    def _leave(self, frame: StoredFrame) -> None:
        """The spool has it no more."""
        self._remove(frame)
        self.parked.pop(frame.id, None)
        self.bytes -= frame.size
        self.sessions[frame.session] -= 1
        if not self.sessions[frame.session]:
            del self.sessions[frame.session]

    def _remove(self, frame: StoredFrame) -> None:
        if frame in self.frames:
            self.frames.remove(frame)
