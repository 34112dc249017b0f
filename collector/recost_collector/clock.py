"""Both clocks of a turn: one for pauses and deadlines, one for what users read."""

from __future__ import annotations

import time
from typing import NamedTuple


class Clock(NamedTuple):
    """One look at both clocks, for a whole turn."""

    now: float
    """Monotonic seconds."""
    wall_ns: int

    @property
    def wall_ms(self) -> int:
        return self.wall_ns // 1_000_000


def read_clock() -> Clock:
    return Clock(time.monotonic(), time.time_ns())
