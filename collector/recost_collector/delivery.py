"""What goes where and when: the lanes of all destinations, and what each outcome means for spool and workers.

Knows no protocol.  An outcome is committed before the next frame of its lane goes out, so after a crash at most one
frame per lane is sent twice, with the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from recost.notice import Notice
from recost.session import Destination, Registration, Session
from recost_collector.changes import Changes, DestinationState, StoredFrame
from recost_collector.courier import Couriers, Job
from recost_collector.exporters import Frame, load_exporter
from recost_collector.keys import Keys, key_id
from recost_collector.lane import NOTHING, Lane, Verdict

MAX_UNUSED = 64
"""Destinations without workers and windows that are remembered, the last ones used: for ``status``, and for the next
worker, who finds how its key stands."""


class Settlement(NamedTuple):
    """A frame that settled, to be told to the rings in it once it is committed."""

    frame: StoredFrame
    ok: bool


class Bulletin(NamedTuple):
    """Trouble with frames, to be told to the rings in them once it is committed."""

    frames: tuple[StoredFrame, ...]
    notice: Notice
    once: bool = False
    """Not for rings that have heard of such trouble in this episode."""


class Delivery:
    """All lanes. The loop's alone."""

    def __init__(self, couriers: Couriers, keys: Keys, session_of: Callable[[str], Session]) -> None:
        self.lanes: dict[str, Lane] = {}
        self.settlements: list[Settlement] = []
        self.bulletins: list[Bulletin] = []
        self.forgotten_drops = 0
        """Frames that this leader knows to have been dropped at destinations that it has forgotten."""
        self._couriers = couriers
        self._keys = keys
        self._session_of = session_of

    def restore(self, destinations: dict[str, tuple[Destination, DestinationState]], frames: list[StoredFrame]) -> None:
        """Take over what an earlier collector left."""
        for name, (destination, state) in destinations.items():
            if name in self.lanes:
                continue
            lane = self._new_lane(destination, state)
            api_key = self._keys.recall(name)
            lane.standing.resume(api_key, key_id(api_key))
        for frame in frames:
            self.lanes[frame.destination].add(frame)

    def register(self, registration: Registration, changes: Changes, *, is_new: bool) -> None:
        """A ring with this registration has appeared; it is not new when an earlier collector has met it before."""
        destination = registration.session.destination
        lane = self._lane(destination)
        self._keys.remember(destination.id, registration.api_key)
        lane.register(destination, registration.api_key, key_id(registration.api_key), is_init=is_new)
        changes.destinations[destination.id] = (destination, lane.state)

    def add(self, session: Session, frames: Iterable[StoredFrame], changes: Changes) -> None:
        """Take freshly closed frames in; they go out after the next commit."""
        for frame in frames:
            if frame.destination not in self.lanes:  # no ring has brought it: that of a log
                destination = session.place(frame.destination)
                changes.destinations[frame.destination] = (destination, self._lane(destination).state)
            self.lanes[frame.destination].add(frame)

    def take_outcomes(self, now: float, wall_ms: int, changes: Changes) -> bool:
        """Work in what the couriers brought back and what time has brought. True when that wants a commit."""
        found = False
        for outcome in self._couriers.taken():
            lane = self.lanes[outcome.destination_id]
            if lane.under_way is not None and lane.under_way.id == outcome.frame_id:
                self._apply(lane.conclude(outcome.result, now, wall_ms), changes)
                found = True
        for name, lane in self.lanes.items():
            found = self._apply(lane.look(wall_ms), changes) or found
            found = self._drop_surplus(lane, changes) or found
            self._note(name, lane, changes)
        return found

    def flush(self, destination_id: str, wall_ms: int, changes: Changes) -> None:
        """One attempt at once for everything that waits at the destination."""
        lane = self.lanes.get(destination_id)
        if lane is not None:
            self._apply(lane.flush(wall_ms), changes)

    def retry(self, destination_id: str, frames: Collection[StoredFrame], wall_ms: int, changes: Changes) -> None:
        """Parked frames wait again, with one attempt at once."""
        self.lanes[destination_id].retry(frames)
        changes.changed_frames.extend(frames)
        self.flush(destination_id, wall_ms, changes)

    def delete(self, destination_id: str, frames: Collection[StoredFrame], changes: Changes) -> None:
        """Lose frames that are not under way, because a person says so; they count as dropped."""
        lane = self.lanes[destination_id]
        for frame in frames:
            self._apply(lane.drop(frame), changes)
        self._note(destination_id, lane, changes)

    def dispatch(self, now: float, wall_ms: int, body_of: Callable[[int], bytes]) -> None:
        """Send what is due, one frame a lane. Only right after a commit."""
        for name, lane in list(self.lanes.items()):
            if not lane.frames or not self._couriers.has_room(name):
                continue
            frame = lane.next_frame(now, wall_ms)
            if frame is not None:
                packed = Frame(frame.key, body_of(frame.id), frame.sdk_version, lane.standing.api_key)
                self._couriers.send(lane.destination, Job(frame.id, packed))
                self.lanes[name] = self.lanes.pop(name)  # to the end: with too few couriers all have their turn

    def drop_oldest(self, bytes_over: int, changes: Changes) -> int:
        """Make room in the spool. Returns the number of frames that were lost for it."""
        dropped: dict[str, list[StoredFrame]] = {}
        while bytes_over > 0:
            oldest = filter(None, (lane.oldest() for lane in self.lanes.values()))
            frame = min(oldest, key=lambda frame: frame.id, default=None)
            if frame is None:
                break
            lane = self.lanes[frame.destination]
            bytes_over -= frame.size
            dropped.setdefault(frame.destination, []).append(frame)
            self._apply(lane.drop(frame), changes)
            self._note(frame.destination, lane, changes)
        for name, lost in dropped.items():
            text = f"the spool is full (spool_max_bytes), windows were dropped, the oldest first: {len(lost)}"
            self._tell_dropped(self.lanes[name], lost, text, once=False)
        return sum(map(len, dropped.values()))

    def _drop_surplus(self, lane: Lane, changes: Changes) -> bool:
        """Lose what is more than may wait at this destination. True when there was any."""
        lost = lane.surplus()
        for frame in lost:
            self._apply(lane.drop(frame), changes)
        if lost:
            text = f"too much waits for {lane.destination.url}, the oldest windows are dropped; is it listening?"
            self._tell_dropped(lane, lost, text, once=True)
        return bool(lost)

    def _tell_dropped(self, lane: Lane, lost: list[StoredFrame], text: str, *, once: bool) -> None:
        # The workers of the oldest windows may be gone: those that go on filling the place should know as well.
        concerned = (*lost, *lane.unsettled.values())
        self.bulletins.append(Bulletin(concerned, Notice("overflow", text, count=len(lost)), once))

    @property
    def windows(self) -> int:
        """Frames here, waiting and parked."""
        return sum(len(lane.frames) + len(lane.parked) for lane in self.lanes.values())

    @property
    def spooled_bytes(self) -> int:
        return sum(lane.bytes for lane in self.lanes.values())

    def has_waiting(self, session_id: str) -> bool:
        """True while an older window of the session still waits to be delivered."""
        lane = self.lanes.get(self._session_of(session_id).destination.id)
        return lane is not None and lane.has_waiting(session_id)

    def session_ids(self) -> set[str]:
        """The sessions that frames here belong to."""
        return set().union(*(lane.sessions for lane in self.lanes.values()))

    def is_flushing(self, destination_id: str) -> bool:
        """True while a flush of the destination waits for its attempt."""
        lane = self.lanes.get(destination_id)
        return lane is not None and lane.is_flushing

    def auth_failures(self, destination_id: str) -> int:
        """401s in a row with the key that is in use."""
        lane = self.lanes.get(destination_id)
        return 0 if lane is None else lane.standing.state.auth_failures

    def is_busy(self) -> bool:
        """True while a frame is under way."""
        return any(lane.under_way is not None for lane in self.lanes.values())

    def may_still_deliver(self) -> bool:
        """True when it pays to stay: something waits for a destination that may come back."""
        return any(lane.will_try_again() for lane in self.lanes.values())

    def is_settled(self) -> bool:
        """True when no frame waits for its first fate."""
        return not any(lane.unsettled for lane in self.lanes.values())

    def forget_keys(self, in_use: frozenset[str]) -> None:
        """Remove the key files of destinations with neither rings nor frames; end their couriers."""
        for name, lane in self.lanes.items():
            if lane.standing.api_key and name not in in_use and not lane.frames and not lane.parked:
                self._keys.forget(name)
                lane.standing.resume("", "")
        self._couriers.retire_idle(in_use | frozenset(name for name, lane in self.lanes.items() if lane.frames))

    def forget_unused(self, sessions: Iterable[Session], wall_ms: int, changes: Changes) -> None:
        """Let go of destinations that no session goes to, but for the last ones used. ``sessions``: all there are."""
        if len(self.lanes) <= MAX_UNUSED:
            return
        used = {session.destination.id for session in sessions}
        unused = [name for name, lane in self.lanes.items() if name not in used and not lane.sessions]
        unused.sort(key=lambda name: self.lanes[name].worth_remembering(wall_ms))
        for name in unused[: max(0, len(unused) - MAX_UNUSED)]:
            self.forgotten_drops += self.lanes.pop(name).state.dropped
            changes.destinations.pop(name, None)
            changes.forgotten_destinations.append(name)

    def after_commit(self, changes: Changes) -> None:
        """What was to be forgotten is: nothing will ask for what exporters noted down about it."""
        self._couriers.forget(name for name in changes.forgotten_destinations if name not in self.lanes)

    def close(self, timeout_s: float) -> None:
        """The end: attempts under way have ``timeout_s``. The keys that nothing waits for go with us."""
        self._couriers.close(timeout_s)
        self.forget_keys(frozenset())

    def _lane(self, destination: Destination) -> Lane:
        return self.lanes.get(destination.id) or self._new_lane(destination, DestinationState())

    def _new_lane(self, destination: Destination, state: DestinationState) -> Lane:
        load_exporter(destination)
        lane = self.lanes[destination.id] = Lane(destination, state, self._session_of)
        return lane

    def _apply(self, verdict: Verdict, changes: Changes) -> bool:
        """Note down what a verdict wants written and told. True when there is anything."""
        if verdict.gone is not None:
            changes.gone_frames.append(verdict.gone.id)
        changed = {frame.id: frame for frame in (*verdict.changed, *verdict.settled) if frame is not verdict.gone}
        changes.changed_frames.extend(changed.values())
        self.settlements.extend(Settlement(frame, verdict.ok) for frame in verdict.settled)
        self.bulletins.extend(Bulletin(verdict.concerned, notice, verdict.once) for notice in verdict.notices)
        return verdict != NOTHING

    def _note(self, name: str, lane: Lane, changes: Changes) -> None:
        if lane.dirty:
            lane.dirty = False
            changes.destinations[name] = (lane.destination, lane.state)
