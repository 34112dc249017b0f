"""What goes where and when: the lanes of all destinations, and what each outcome means for spool and workers.

Knows no protocol.  An outcome is committed before the next frame of its lane goes out, so after a crash at most one
frame per lane is sent twice, with the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional

from recost.notice import Notice
from recost.session import Destination, Registration, Session
from recost_collector.changes import Changes, DestinationState, StoredFrame
from recost_collector.courier import Couriers, Job, Outcome
from recost_collector.exporters import Frame, Reject
from recost_collector.keys import Keys, key_id
from recost_collector.lane import Lane, Verdict


class Settlement(NamedTuple):
    """A frame that settled, to be told to the rings in it once it is committed."""

    frame: StoredFrame
    ok: bool


class Bulletin(NamedTuple):
    """Trouble with a frame, to be told to the rings in it once it is committed."""

    frame: StoredFrame
    notice: Notice


class Delivery:
    """All lanes. The loop's alone."""

    def __init__(self, couriers: Couriers, keys: Keys, session_of: Callable[[str], Session]) -> None:
        self.lanes: dict[str, Lane] = {}
        self.settlements: list[Settlement] = []
        self.bulletins: list[Bulletin] = []
        self._couriers = couriers
        self._keys = keys
        self._session_of = session_of

    def restore(self, destinations: dict[str, tuple[Destination, DestinationState]], frames: list[StoredFrame]) -> None:
        """Take over what an earlier collector left."""
        for name, (destination, state) in destinations.items():
            if name in self.lanes:
                continue
            lane = self.lanes[name] = Lane(destination, state, self._session_of)
            lane.api_key = self._keys.recall(name)
            lane.key_id = key_id(lane.api_key)
        for frame in frames:
            self.lanes[frame.destination].add(frame)

    def register(self, registration: Registration, wall_ms: int, changes: Changes) -> None:
        """A ring with this registration has appeared."""
        destination = registration.session.destination
        lane = self._lane(destination)
        self._keys.remember(destination.id, registration.api_key)
        again = lane.register(destination, registration.api_key, key_id(registration.api_key), wall_ms)
        changes.changed_frames.extend(again)
        changes.destinations[destination.id] = (destination, lane.state)

    def add(self, destination: Destination, frames: Iterable[StoredFrame]) -> None:
        """Take freshly closed frames in; they go out after the next commit."""
        lane = self._lane(destination)
        for frame in frames:
            lane.add(frame)

    def take_outcomes(self, now: float, wall_ms: int, changes: Changes) -> bool:
        """Work in what the couriers brought back. True when there was something: it wants a commit."""
        outcomes = self._couriers.taken()
        for outcome in outcomes:
            lane = self.lanes[outcome.destination_id]
            frame = lane.under_way
            if frame is not None and frame.id == outcome.frame_id:
                self._apply(_verdict(lane, frame, outcome, now, wall_ms), frame, changes)
                self._note(outcome.destination_id, lane, changes)
        return bool(outcomes)

    def flush(self, destination_id: str, wall_ms: int, changes: Changes) -> None:
        """One attempt at once for everything that waits at the destination."""
        lane = self.lanes.get(destination_id)
        if lane is not None:
            self._apply(lane.flush(wall_ms), None, changes)

    def dispatch(self, now: float, wall_ms: int, body_of: Callable[[int], bytes]) -> None:
        """Send what is due, one frame a lane. Only right after a commit."""
        for name, lane in self.lanes.items():
            if not lane.frames or not self._couriers.has_room(name):
                continue
            frame = lane.next_frame(now, wall_ms)
            if frame is not None:
                packed = Frame(frame.key, body_of(frame.id), frame.sdk_version, lane.api_key)
                self._couriers.send(lane.destination, Job(frame.id, packed))

    def drop_oldest(self, bytes_over: int, changes: Changes) -> int:
        """Make room in the spool. Returns the number of frames that were lost for it."""
        dropped = 0
        everything = [f for lane in self.lanes.values() for f in (*lane.frames, *lane.parked.values())]
        for frame in sorted(everything, key=lambda frame: frame.id):
            if bytes_over <= 0:
                break
            lane = self.lanes[frame.destination]
            if frame is lane.under_way:
                continue
            bytes_over -= frame.size
            dropped += 1
            self._apply(lane.drop(frame), frame, changes)
            self._note(frame.destination, lane, changes)
            text = "the spool is full (spool_max_bytes), the oldest windows were dropped"
            self.bulletins.append(Bulletin(frame, Notice("overflow", text, count=1, first=dropped == 1)))
        return dropped

    @property
    def spooled_bytes(self) -> int:
        return sum(f.size for lane in self.lanes.values() for f in (*lane.frames, *lane.parked.values()))

    def has_unsettled(self, session_id: str) -> bool:
        """True while an older window of the session waits for its first fate."""
        lane = self.lanes.get(self._session_of(session_id).destination.id)
        return lane is not None and lane.has_unsettled(session_id)

    def session_ids(self) -> set[str]:
        """The sessions that frames here belong to."""
        return {f.session for lane in self.lanes.values() for f in (*lane.frames, *lane.parked.values())}

    def auth_failures(self, destination_id: str) -> int:
        """401s in a row with the key that is in use."""
        lane = self.lanes.get(destination_id)
        return 0 if lane is None else lane.key_state.auth_failures

    def is_busy(self) -> bool:
        """True while a frame is under way."""
        return any(lane.under_way is not None for lane in self.lanes.values())

    def may_still_deliver(self) -> bool:
        """True when it pays to stay: something waits for a destination that may come back."""
        return any(lane.will_try_again() for lane in self.lanes.values())

    def is_settled(self) -> bool:
        """True when no frame waits for its first fate."""
        return all(frame.settled for lane in self.lanes.values() for frame in lane.frames)

    def forget_keys(self, in_use: frozenset[str]) -> None:
        """Remove the key files of destinations with neither rings nor frames; end their couriers."""
        for name, lane in self.lanes.items():
            if lane.api_key and name not in in_use and not lane.frames and not lane.parked:
                self._keys.forget(name)
                lane.api_key = lane.key_id = ""
        self._couriers.retire_idle(in_use | frozenset(name for name, lane in self.lanes.items() if lane.frames))

    def close(self, timeout_s: float) -> None:
        self._couriers.close(timeout_s)

    def _lane(self, destination: Destination) -> Lane:
        lane = self.lanes.get(destination.id)
        if lane is None:
            lane = self.lanes[destination.id] = Lane(destination, DestinationState(), self._session_of)
        return lane

    def _apply(self, verdict: Verdict, frame: Optional[StoredFrame], changes: Changes) -> None:
        if verdict.gone is not None:
            changes.gone_frames.append(verdict.gone.id)
        if verdict.changed is not None:
            changes.changed_frames.append(verdict.changed)
        for settled in verdict.settled:
            if settled is not verdict.gone and settled is not verdict.changed:
                changes.changed_frames.append(settled)
            self.settlements.append(Settlement(settled, verdict.ok))
        if frame is not None:
            self.bulletins.extend(Bulletin(frame, notice) for notice in verdict.notices)

    def _note(self, name: str, lane: Lane, changes: Changes) -> None:
        if lane.dirty:
            lane.dirty = False
            changes.destinations[name] = (lane.destination, lane.state)


def _verdict(lane: Lane, frame: StoredFrame, outcome: Outcome, now: float, wall_ms: int) -> Verdict:
    if outcome.result is None:
        return lane.succeed(frame, wall_ms)
    if isinstance(outcome.result, Reject):
        return lane.refuse(frame, outcome.result, now)
    return lane.retry(frame, outcome.result, now, wall_ms)
