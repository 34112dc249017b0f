"""A cell of the matrix: one way of running workers, ended in one way, and the calls that were made and delivered."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, NamedTuple


class Counts(NamedTuple):
    made: int
    """As the receiving server counted them."""
    delivered: int
    """``requestCount`` in the local file, summed over all windows."""
    in_flight: int = 0
    """Calls that were under way in a worker when it was killed: at most so many may be missing."""
    given_up: int = 0
    """Of ``delivered``, those without an answer, for their server cancelled them: so many may never have arrived."""

    @property
    def is_whole(self) -> bool:
        return self.made - self.in_flight <= self.delivered <= self.made + self.given_up


class Cell(NamedTuple):
    server: str
    """As its users name it: ``gunicorn gthread``."""
    mode: str
    """How its workers start: ``preload``, ``lazy-apps``, ``fork``, ``spawn``."""
    ending: str
    """``graceful``, ``reload``, ``SIGKILL``; or what else ends a worker there: ``max_requests``, ``timeout``."""
    run: Callable[[Path], Counts]
    """Runs the real thing in this empty folder. ``Unavailable`` when it cannot be run here."""
    is_fast: bool = False
    """Also in the suite: one cell per family of servers."""


class Unavailable(Exception):  # noqa: N818 - it is no fault
    """Why a cell cannot be run on this machine; shown in the table instead of counts."""
