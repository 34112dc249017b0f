"""A row of the table: one promise, many tries to break it, and a control that shows that the tries can break it.

A row runs in a process of its own, in folders of its own, with a limit; what it leaves behind is a violation, too.
It says what it saw through its ``Trial``; raising ends the row with a violation.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn, Optional, TypeVar

import msgspec

from tests.environment import is_foreign

T = TypeVar("T")

FEW_VIOLATIONS = 20
"""So many are told in words; the rest is a number."""


class Row(NamedTuple):
    """One line of the table, and how to get it."""

    name: str
    """What ``--only`` takes; the part before a dot is its family."""
    promise: str
    """What must hold, in one line of the table."""
    run: Callable[[Trial], None]
    limit_s: tuple[float, float] = (60.0, 900.0)
    """Quick and full; a row that takes longer hangs, which is a violation."""
    in_quick: bool = True
    on_every_python: bool = False
    """In the full form: once for each Python found, 3.9, 3.11 and 3.13.  Such a row imports recost's core
    dependencies and the standard library alone.
    """


class Control(msgspec.Struct):
    """What the same tries showed with the protection taken away. One that shows nothing makes the row worthless."""

    without: str
    """What was taken away."""
    wrong: int
    tries: int


class Verdict(msgspec.Struct):
    """What a row found."""

    name: str
    promise: str = ""
    tries: int = 0
    violations: list[str] = []
    more_violations: int = 0
    control: Optional[Control] = None
    figures: list[str] = []
    skipped: str = ""
    """Why the row could not run here; empty: it did."""
    seconds: float = 0.0
    python: str = ""

    @property
    def holds(self) -> bool:
        """True when nothing was violated and the control, if there is one, failed as it should."""
        return not self.violations and (self.control is None or self.control.wrong > 0)


class Skipped(Exception):  # noqa: N818 - a finding, not an error of the program
    """A tool or a right is missing."""


class Place(NamedTuple):
    """The folders of one try, all new and empty; the runtime directory in shared memory, as in production."""

    runtime: Path
    state: Path
    local: Path
    home: Path

    def enter(self) -> None:
        """Make them this process's and its children's, and take away every other setting."""
        for name in filter(is_foreign, list(os.environ)):
            del os.environ[name]
        os.environ["RECOST_RUNTIME_DIR"] = str(self.runtime)
        os.environ["RECOST_STATE_DIR"] = str(self.state)
        os.environ["RECOST_LOCAL_DIR"] = str(self.local)
        os.environ["HOME"] = str(self.home)


class Trial:
    """What a row is given, and where it notes what it saw."""

    def __init__(
        self, name: str, *, full: bool, seed: int, roots: tuple[Path, Path], kills: Optional[int] = None
    ) -> None:
        """``roots``: the row's folder in shared memory and the one on disk, both there and empty."""
        self.full = full
        self.kills = kills
        """``--kills``: the number that replaces the row's own number of kills, if it kills."""
        self.random = random.Random(f"{seed}:{name}")
        self.memory, self.disk = roots
        self.verdict = Verdict(name)
        self.on_progress: Callable[[int, int], None] = lambda _done, _of: None
        """Called with tries done and planned."""
        self._planned = 0
        self._places = itertools.count()

    def size(self, quick: T, full: T) -> T:
        """How much to do in the form that runs."""
        return full if self.full else quick

    def plan(self, tries: int) -> None:
        """Say how many tries will follow, for the progress line. May be called more than once: they add up."""
        self._planned += tries
        self.on_progress(self.verdict.tries, self._planned)

    def tried(self, count: int = 1) -> None:
        """So many more tries are done."""
        self.verdict.tries += count
        self.on_progress(self.verdict.tries, self._planned)

    def check(self, holds: object, violation: str) -> bool:
        """Note ``violation`` unless it ``holds``. Gives whether it does."""
        if not holds:
            self.violated(violation)
        return bool(holds)

    def violated(self, text: str) -> None:
        """The promise was broken: what was expected, what was found, and where."""
        if len(self.verdict.violations) < FEW_VIOLATIONS:
            self.verdict.violations.append(text)
        else:
            self.verdict.more_violations += 1

    def controlled(self, without: str, wrong: int, tries: int) -> None:
        """With a protection taken away, ``wrong`` of ``tries`` broke the promise: must be more than 0."""
        self.verdict.control = Control(without, wrong, tries)

    def figure(self, text: str) -> None:
        """Something measured, for the table: ``takeover p50 0.41 s, p99 1.2 s``."""
        self.verdict.figures.append(text)

    def skip(self, reason: str) -> NoReturn:
        """The row cannot run here: a tool or right that is missing."""
        raise Skipped(reason)

    def place(self) -> Place:
        """New folders for one try; removed with the row's. ``enter`` makes them the environment's."""
        number = str(next(self._places))
        memory, disk = self.memory / number, self.disk / number
        place = Place(memory / "run", disk / "state", disk / "local", disk / "home")
        for folder in place:
            folder.mkdir(mode=0o700, parents=True)
        return place
