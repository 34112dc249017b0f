"""A lane whose clock the test moves and whose answers it gives, with all that its verdicts said."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Optional, Union

from recost.errors import RecostError
from recost.notice import Notice, to_error
from recost.session import Destination, Session
from recost_collector.changes import DestinationState, Part, StoredFrame
from recost_collector.exporters import Reject, Retry
from recost_collector.exporters.answers import Answer, outcome, undelivered
from recost_collector.lane import Lane, Verdict

URL = "https://api.example.com/projects/shop/telemetry"
NETWORK = 0
INTERVAL_S = 30.0
WALL_MS = 1_790_000_000_000
STEP_MS = 50
STEP_S = STEP_MS / 1000
JITTER = 1.2
"""The most that a pause is stretched by."""


def result_of(status: int, retry_after_s: Optional[float] = None) -> Union[Retry, Reject, None]:
    """What the exporter makes of an answer; ``NETWORK`` is none."""
    if status == NETWORK:
        return undelivered("no delivery to api.example.com: refused")
    return outcome(Answer(status, retry_after_s, "req-1"), "api.example.com", "/projects/shop/telemetry")


class Driven:
    """One lane. Times are seconds since the test began."""

    def __init__(self, url: str = URL, state: Optional[DestinationState] = None, **settings: Any) -> None:
        self.destination = Destination(url, "shop")
        self.session = Session(self.destination, flush_interval_ms=int(INTERVAL_S * 1000), **settings)
        self.lane = Lane(self.destination, state or DestinationState(), lambda _: self.session)
        self._at_ms = 0
        self.settled: list[int] = []
        """Ids of frames in the order in which they were put back, refused or delivered for the first time."""
        self.heard: list[tuple[Notice, frozenset[str]]] = []
        """Notices and the rings that they are for."""
        self.last = Verdict()
        self._ids = itertools.count(1)

    @property
    def at_s(self) -> float:
        return self._at_ms / 1000

    @property
    def now(self) -> float:
        return 5000.0 + self.at_s

    @property
    def wall_ms(self) -> int:
        return WALL_MS + self._at_ms

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self._at_ms += round(seconds * 1000)
        self.look()

    def init(self, api_key: str = "rc-first", *, is_init: bool = True) -> None:
        self.lane.register(self.destination, api_key, f"id of {api_key}", is_init=is_init)
        self.look()

    def window(self, *rings: str, session: str = "s") -> StoredFrame:
        """Close a window with events of ``rings`` in it."""
        number = next(self._ids)
        parts = tuple(Part(ring, 0, number) for ring in rings or ("ring",))
        frame = StoredFrame(number, "d", session, f"key-{number}", b"", "1.0", 1, 0, 100, parts=parts)
        self.lane.add(frame)
        self.look()
        return frame

    def windows(self, count: int) -> list[StoredFrame]:
        return [self.window() for _ in range(count)]

    def look(self) -> None:
        self._note(self.lane.look(self.wall_ms))

    def flush(self) -> None:
        self._note(self.lane.flush(self.wall_ms))

    def send(self) -> Optional[StoredFrame]:
        """What goes out now, and stays under way."""
        return self.lane.next_frame(self.now, self.wall_ms)

    def is_quiet(self) -> bool:
        """True when nothing goes out now."""
        return self.send() is None

    def answer(self, status: int, retry_after_s: Optional[float] = None) -> Verdict:
        """What came of the frame under way."""
        self._note(self.lane.conclude(result_of(status, retry_after_s), self.now, self.wall_ms))
        self.look()
        return self.last

    def attempt(self, status: int, retry_after_s: Optional[float] = None) -> StoredFrame:
        """Something must go out now and is answered so."""
        frame = self.send()
        assert frame is not None, f"nothing went out at {self.at_s} s"
        self.answer(status, retry_after_s)
        return frame

    def wait_for_attempt(self, status: int, retry_after_s: Optional[float] = None, at_most_s: float = 1000) -> float:
        """Let time pass until something goes out, which is answered so. Returns how long it took, to ``STEP_S``."""
        since_ms = self._at_ms
        while self.send() is None:
            self._at_ms += STEP_MS
            self.look()
            assert self._at_ms - since_ms < at_most_s * 1000, f"nothing went out for {at_most_s} s"
        self.answer(status, retry_after_s)
        return (self._at_ms - since_ms) / 1000

    def errors(self, ring: str = "ring") -> list[Exception]:
        """What the worker of ``ring`` would be told, were it told everything."""
        return [to_error(notice) for notice, rings in self.heard if ring in rings]

    def statuses(self, ring: str = "ring") -> list[int]:
        return [error.status for error in self.errors(ring) if isinstance(error, RecostError)]

    def _note(self, verdict: Verdict) -> None:
        self.last = verdict
        for frame in verdict.settled:
            assert frame.id not in self.settled or verdict.gone is frame, "settled twice"
            assert frame.settled
        self.settled += [frame.id for frame in verdict.settled if frame.id not in self.settled]
        rings = frozenset(part.ring for frame in verdict.concerned for part in frame.parts)
        self.heard += [(notice, rings) for notice in verdict.notices]


def ready(**settings: Any) -> Driven:
    """A lane that a worker has registered for."""
    driven = Driven(**settings)
    driven.init()
    return driven


def ids(frames: Iterable[StoredFrame]) -> list[int]:
    return [frame.id for frame in frames]
