"""When the next attempt at a destination may be made: back-off while it fails, longer pauses once that did not help.

Pure.  ``now`` is monotonic seconds.  A flush may try before the time: a failure of that attempt leaves the schedule
as it is, or programs that end one after the other would wear out the retries of everybody.
"""

from __future__ import annotations

import random
from typing import NamedTuple

BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 10.0)
PUT_BACK_S = 30.0
MAX_PUT_BACK_S = 300.0
JITTER = 0.2
"""A pause is up to this share longer, never shorter, so that hosts that failed together do not return together."""


class Patience(NamedTuple):
    """How a kind of destination is tried, and how much may wait for it. 0: without end."""

    back_off_s: tuple[float, ...] = BACK_OFF_S
    gives_up_after: int = 0
    """Failures in a row. Until then the pauses are those of the back-off, retries used up or not."""
    max_waiting: int = 0
    """Frames. With one more the oldest is lost."""


SERVICE = Patience()
LISTENER = Patience((1.0, 2.0, 4.0, 8.0, 16.0, 30.0), gives_up_after=10, max_waiting=1000)
"""A program on this host, which somebody watches or has closed for good: an editor, a dashboard."""


def patience_with(url: str) -> Patience:
    """The one for a destination."""
    return LISTENER if url.startswith("ws:") else SERVICE


class Pace:
    """One destination's."""

    def __init__(self, patience: Patience = SERVICE) -> None:
        self._patience = patience
        self._next_try_at = 0.0
        self._failures = 0
        self._put_backs = 0

    def is_due(self, now: float) -> bool:
        """True when an attempt may be made without anybody asking for it."""
        return now >= self._next_try_at

    def at_once(self) -> None:
        """Nothing is known that speaks against trying."""
        self._next_try_at = 0.0

    def answered(self) -> None:
        """The destination is there: what failed before counts no more."""
        self._failures = self._put_backs = 0

    def wait(self, now: float, pause_s: float) -> None:
        """Not before ``pause_s`` from now, or when it was to be anyway."""
        until = now + pause_s
        self._next_try_at = until if self.is_due(now) else min(self._next_try_at, until)

    def failed(self, now: float, max_retries: int, at_least_s: float) -> bool:
        """An attempt failed: pause. True when the retries are used up, so that the frames go back to wait."""
        if self.is_due(now) or not self._failures:
            self._failures += 1
            pause_s = self._pause_s(max_retries)
            self.wait(now, max(pause_s * random.uniform(1.0, 1.0 + JITTER), at_least_s))
        return self._failures > max_retries or self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """True when it has failed so often that it is given up."""
        return 0 < self._patience.gives_up_after <= self._failures

    def _pause_s(self, max_retries: int) -> float:
        back_off_s = self._patience.back_off_s
        if self._failures <= max_retries or self._patience.gives_up_after:
            return back_off_s[min(self._failures, len(back_off_s)) - 1]
        pause_s = min(PUT_BACK_S * 2.0**self._put_backs, MAX_PUT_BACK_S)
        self._put_backs = min(self._put_backs + 1, 10)  # beyond that it only is the longest pause
        return pause_s
