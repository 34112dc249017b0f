"""Tries that mostly wait run side by side, each in a process and in folders of its own.

What a try sees it notes in its ``Aside``, a file; the row takes it from there once the process has ended.
"""

from __future__ import annotations

import functools
import itertools
import os
import random
import signal
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import msgspec

from tests.faults.row import Place, Trial
from tests.harness import start_child, wait_until

FOUND = "found.json"
TRY_S = 90.0
"""A try that takes longer hangs, which is a violation."""


class Found(msgspec.Struct):
    """What one try saw."""

    violations: list[str] = []
    took_s: list[float] = []
    seen: int = 0
    """How often something was the case that the row counts."""
    fault: str = ""
    """What ended the try before its time."""


class Aside:
    """One try, inside its process."""

    def __init__(self, place: Place, seed: float) -> None:
        self.place = place
        self.random = random.Random(seed)
        self.found = Found()

    def check(self, holds: object, violation: str) -> bool:
        """Note ``violation`` unless it ``holds``. Gives whether it does."""
        if not holds:
            self.found.violations.append(violation)
        return bool(holds)

    def took(self, seconds: float) -> None:
        """Something that the row measures took so long."""
        self.found.took_s.append(seconds)


class Try(NamedTuple):
    """What to try, and its name in a violation."""

    name: str
    run: Callable[[Aside], None]
    tries: int = 1
    """As what it counts in the table."""


class _Running(NamedTuple):
    what: Try
    pid: int
    place: Place
    since: float


def in_turn(kinds: Sequence[Callable[[Aside], None]], count: int) -> list[Try]:
    """So many tries, of each kind in turn."""
    return [Try(f"{run.__name__} {number}", run) for number, run in zip(range(count), itertools.cycle(kinds))]


class Without(NamedTuple):
    """The control: tries without a protection, each of which should see a violation."""

    what: str
    tries: Sequence[Try]


def side_by_side(trial: Trial, tries: Sequence[Try], at_once: int, control: Optional[Without] = None) -> list[Found]:
    """Run ``tries`` and their control, so many at a time. Gives what each of ``tries`` saw, in order of their ends.

    Whatever one of them sees is a violation; so is a try that does not come to its end, also one of the control.
    """
    waiting, running = [*tries, *(control.tries if control else ())], list[_Running]()
    found: list[Found] = []
    wrong = 0
    trial.plan(sum(one.tries for one in tries))
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(_start(trial, waiting.pop(0)))
        ended = wait_until(functools.partial(_ended, running), TRY_S + 10, "a try to end")
        running.remove(ended)
        seen = _findings(ended)
        trial.check(not seen.fault, f"{ended.what.name} ended on a fault: {seen.fault}")
        if control and ended.what in control.tries:
            wrong += bool(seen.violations)
            continue
        found.append(seen)
        trial.tried(ended.what.tries)
        for text in seen.violations:
            trial.violated(text)
    if control:
        trial.controlled(control.what, wrong, len(control.tries))
    return found


def p50_p99(found: Sequence[Found]) -> str:
    """``p50 1.2 s, p99 1.9 s`` of all that was measured, by nearest rank."""
    times = sorted(seconds for one in found for seconds in one.took_s)
    if not times:
        return "never"
    p50, p99 = (times[-(-len(times) * percent // 100) - 1] for percent in (50, 99))
    return f"p50 {p50:.1f} s, p99 {p99:.1f} s"


def _start(trial: Trial, one: Try) -> _Running:
    place, seed = trial.place(), trial.random.random()
    return _Running(one, start_child(lambda: _run(one, place, seed)), place, time.monotonic())


def _run(one: Try, place: Place, seed: float) -> None:
    aside = Aside(place, seed)
    place.enter()
    try:
        one.run(aside)
    except Exception:  # noqa: BLE001 - whatever it was, the try did not hold
        aside.found.fault = traceback.format_exc(limit=-3)
    (place.home / FOUND).write_bytes(msgspec.json.encode(aside.found))


def _ended(running: Sequence[_Running]) -> Optional[_Running]:
    for one in running:
        if time.monotonic() - one.since > TRY_S:
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
            return one
        if os.waitpid(one.pid, os.WNOHANG)[0]:
            return one
    return None


def _findings(one: _Running) -> Found:
    file: Path = one.place.home / FOUND
    found = (
        msgspec.json.decode(file.read_bytes(), type=Found) if file.exists() else Found(fault="it did not end in time")
    )
    found.violations = [f"{one.what.name}: {text}" for text in found.violations]
    return found
