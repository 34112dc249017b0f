"""Where the leader serves the command line: takes requests in after a turn, and answers once they are committed.

One look at a folder that is hardly ever there is all that a turn pays.  What is asked for happens in the turns
themselves; nothing here waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Optional

from recost_collector.changes import Changes, StoredFrame, with_status
from recost_collector.clock import read_clock
from recost_collector.delivery import Delivery
from recost_collector.lane import Lane
from recost_collector.request_box import DELETES, Answer, Outcome, Request, RequestBox
from recost_collector.service import Service

MAX_CASES = 16
"""Requests under way at a time; the others wait for their turn."""
MAX_REASONS = 3


class Case:
    """One request under way."""

    def __init__(self, request: Request, service: Service) -> None:
        self.request = request
        self.give_up_at = time.monotonic() + request.timeout_s
        self._delivered = {name: lane.state.delivered for name, lane in service.delivery.lanes.items()}
        self._counts: dict[str, int] = {}
        self._is_begun = False

    def begin(self, service: Service) -> bool:
        """Once, a turn after the request was met: only then every ring that was there before it has been, too.

        Again for a window that was under way then and waits by now.
        """
        if self._is_begun and not (self.request.want == "delete_waiting" and self._finds(service)):
            return False
        self._is_begun = True
        if self.request.want == "flush":
            for source in service.rings.sources.values():
                source.ask_for_flush()
        service.ask(lambda changes: self._act(service.delivery, read_clock().wall_ms, changes))
        return True

    def is_done(self, service: Service) -> bool:
        """Everything is committed, and of a delivery attempt it is known what became of it."""
        if not (self._is_begun and service.is_committed):
            return False
        if self.request.want == "delete_waiting":
            return not any(_is_meant(self.request, lane, lane.under_way) for lane in service.delivery.lanes.values())
        return self.request.want == "delete" or _is_flushed(service)

    def answer(self, service: Service, wall_ms: int, *, is_done: bool) -> Answer:
        found = [self._outcome(name, lane, wall_ms) for name, lane in service.delivery.lanes.items()]
        relevant = [outcome for outcome in found if _has_something(outcome)]
        return Answer(relevant, is_done, service.spool_trouble)

    def _finds(self, service: Service) -> bool:
        return service.is_committed and any(picked(self.request, lane) for lane in service.delivery.lanes.values())

    def _act(self, delivery: Delivery, wall_ms: int, changes: Changes) -> None:
        for name, lane in delivery.lanes.items():
            if self.request.want == "flush":
                delivery.flush(name, wall_ms, changes)
                continue
            frames = picked(self.request, lane)
            if not frames:
                continue
            self._counts[name] = self._counts.get(name, 0) + len(frames)
            if self.request.want == "retry":
                delivery.retry(name, frames, wall_ms, changes)
            else:
                delivery.delete(name, frames, changes)

    def _outcome(self, name: str, lane: Lane, wall_ms: int) -> Outcome:
        count = self._counts.get(name, 0)
        return Outcome(
            destination=lane.destination.url,
            delivered=lane.state.delivered - self._delivered.get(name, 0),
            waiting=len(lane.frames),
            parked=len(lane.parked),
            retried=count if self.request.want == "retry" else 0,
            deleted=count if self.request.want in DELETES else 0,
            why=_why(lane, wall_ms),
        )


class Desk:
    """Of one leader."""

    def __init__(self, directory: str, service: Service) -> None:
        self._box = RequestBox(directory)
        self._service = service
        self._cases: dict[str, Case] = {}
        self._done_with: set[str] = set()
        """Answered, or no requests."""

    def look(self, wall_ms: int) -> bool:
        """After a turn. True when there is something new to do: the next turn should come at once."""
        waiting = self._box.waiting()
        self._forget_all_but(waiting)
        begun = [case.begin(self._service) for case in self._cases.values()]
        self._answer(wall_ms)
        fresh = [name for name in waiting if name not in self._cases and name not in self._done_with]
        met = [self._take_in(name) for name in fresh[: MAX_CASES - len(self._cases)]]
        return any((*begun, *met))

    def _take_in(self, name: str) -> bool:
        request = self._box.request(name)
        if request is None:
            self._done_with.add(name)
            return False
        if request.want == "watch":
            self._box.reply(name, Answer(watched=self._service.live.look(time.monotonic())))
            self._done_with.add(name)
            return False
        self._cases[name] = Case(request, self._service)
        return True

    def _answer(self, wall_ms: int) -> None:
        now = time.monotonic()
        for name, case in list(self._cases.items()):
            is_done = case.is_done(self._service)
            if is_done or self._service.spool_trouble or now >= case.give_up_at:
                self._box.reply(name, case.answer(self._service, wall_ms, is_done=is_done))
                self._done_with.add(name)
                del self._cases[name]

    def _forget_all_but(self, waiting: Iterable[str]) -> None:
        """Who asked has gone: with the answer, or without."""
        self._done_with.intersection_update(waiting)
        for name in self._cases.keys() - set(waiting):
            del self._cases[name]


def picked(request: Request, lane: Lane) -> list[StoredFrame]:
    """The windows of this destination that the request is about; not the one that is under way."""
    frames = lane.frames if request.want == "delete_waiting" else lane.parked.values()
    return [frame for frame in frames if frame is not lane.under_way and _is_meant(request, lane, frame)]


def _is_meant(request: Request, lane: Lane, frame: Optional[StoredFrame]) -> bool:
    if frame is None or request.destination not in lane.destination.url:
        return False
    return not request.ids or frame.id in request.ids


def _is_flushed(service: Service) -> bool:
    """True when every attempt that was asked for is over."""
    if any(source.flush_asked >= 0 for source in service.rings.sources.values()):
        return False
    return not any(lane.is_flushing for lane in service.delivery.lanes.values())


def _has_something(outcome: Outcome) -> bool:
    return any((outcome.delivered, outcome.waiting, outcome.parked, outcome.retried, outcome.deleted))


def _why(lane: Lane, wall_ms: int) -> str:
    reasons = list(dict.fromkeys(with_status(frame.reason, frame.status) for frame in lane.parked.values()))[
        :MAX_REASONS
    ]
    if lane.frames:
        reasons.insert(0, lane.standing.why_blocked(wall_ms) or lane.state.last_error or "the attempt is under way")
    return "; ".join(dict.fromkeys(filter(None, reasons)))
