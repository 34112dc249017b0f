"""Forks while a ring is made and a collector is started: the children live on, and keep nobody from anything."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import msgspec._utils

import recost
from recost import _link, _runtime, _spawn, _starts
from recost import leader as leader_file
from recost._native import start_thread
from recost._spawn import SpawnLock
from recost.leader import SPAWN_LOCK, has_leader
from recost.ring import files as ring_files
from recost_collector import launch
from tests.faults.aside import side_by_side
from tests.faults.forked import run_forked
from tests.faults.forks.families import AT_ONCE, DEADLINE_S, SETTINGS, Family, tries_of, without
from tests.faults.forks.forking import announced, fork_of_c, let_threads_run
from tests.faults.forks.held import Held, Stops
from tests.faults.replacing import replace
from tests.faults.row import Trial
from tests.harness import wait_until
from tests.processes.support import wait_for_leader

FORKS = 4
"""So many children has each parent."""
OURS = frozenset(str(file.__file__) for file in (_runtime, _link, _spawn, _starts, leader_file, ring_files))
PREPARING = frozenset(str(file.__file__) for file in (typing, msgspec._utils))
"""Where msgspec prepares a type that it has not met before. A child that is forked amid that has half of it."""
MOST_LINES = {OURS: 120, PREPARING: 250}
"""Between two forks: a first call and a start take a few hundred lines, and so does a type."""
FREE_S = 5.0
SCRIPT = 4
"""The launcher's place among the arguments of a start."""
STARTING = {**SETTINGS, "collector": "auto"}


def while_spawning(trial: Trial) -> None:
    """At any line from the first call to the lead; by C's fork at the start; and as both sides are killed then."""
    parents = trial.size((2, 2, 1), (40, 40, 20))
    tries = [one for kind, count in zip(KINDS, parents) for one in tries_of(kind, FORKS * count, FORKS)]
    control = without("LOCK_UN", _start_without_unlock, trial.size(1, 10))
    copies = sum(found.seen for found in side_by_side(trial, tries, AT_ONCE, control))
    trial.figure(f"{copies:,} children of C's fork had a copy of the spawn lock")


def _at_any_line(family: Family, _forks: int) -> None:
    family.live(lambda: _fork_at_any_line(family))
    _check_nothing_is_held(family)


def _at_the_start(family: Family, _forks: int) -> None:
    family.live(lambda: _fork_at_the_start(family))
    _check_nothing_is_held(family)


def _killed_at_the_start(family: Family, _forks: int) -> None:
    family.live(lambda: _kill_both_at_the_start(family))
    _check_nothing_is_held(family)


KINDS = (_at_any_line, _at_the_start, _killed_at_the_start)


def _fork_at_any_line(family: Family) -> None:
    recost.init(**STARTING)
    files = family.random.choice((OURS, PREPARING))
    held = Held(files, [family.random.randint(1, MOST_LINES[files]) for _ in range(FORKS)])

    def trace_and_run(run: Callable[..., object], arguments: tuple[object, ...]) -> None:
        held.trace_this_thread()
        run(*arguments)

    replace(_link, "start_thread", lambda run, arguments: start_thread(trace_and_run, (run, arguments)))
    held.run(lambda: (family.caller().call(1), wait_for_leader()))
    for _ in held.stops:
        family.fork_silent(announced)
    while len(family.report.silent) < FORKS:
        family.fork_silent(announced)
    _wait_for_no_locks(family)


def _fork_at_the_start(family: Family) -> None:
    """By the fork of C, which no hook announces: each child has a copy of the lock."""
    let_threads_run()
    early = family.random.randrange(FORKS + 1)
    for pid in _start_in_steps(family):
        forks = FORKS - early if pid else early
        for _ in range(forks):
            family.fork_silent(fork_of_c)
    wait_for_leader()
    family.report.seen = _copies(family)


def _kill_both_at_the_start(family: Family) -> None:
    """The worker, and what it has started, while the lock is theirs: the next worker starts the next one."""
    for pid in _start_in_steps(family):
        if pid:
            os.kill(pid, signal.SIGKILL)
        else:
            for _ in range(FORKS):
                family.fork_silent(announced)
    _wait_for_no_locks(family)


def _start_in_steps(family: Family) -> Iterator[int]:
    """The first call of a parent. Comes back right before a process is started for it (0), and after it (its pid)."""
    start, stops = _spawn._posix_spawn, Stops()

    def start_in_steps(*arguments: Any, **keywords: Any) -> int:
        replace(_spawn, "_posix_spawn", start)
        stops.stop()
        pid: int = start(*arguments, **keywords)
        stops.stop(pid)
        stops.end()
        return pid

    replace(_spawn, "_posix_spawn", start_in_steps)
    recost.init(**STARTING)
    family.caller().call(1)
    yield from stops


def _check_nothing_is_held(family: Family) -> None:
    """The parent is dead, its children live and have not called."""
    directory = str(family.place.runtime)
    code = run_forked(functools.partial(_be_another_worker, family))
    family.check(code == 0, f"another worker gets no collector while the children live: it ended with {code}")
    _check_free(family)
    if not family.report.seen:  # who has no copies of the locks
        family.check_delivered()
    family.speak.put()
    wait_until(lambda: sum(map(bool, family.ledger.counts)) == FORKS + 2, DEADLINE_S, "the silent ones to call")
    wait_for_leader(timeout_s=DEADLINE_S)  # whom they look at
    family.check_alive()
    family.end.put()
    family.collect()  # they may have ended before they could start one
    family.bury()
    family.check(not has_leader(directory), "nobody lives, and the leader lock is held")


def _be_another_worker(family: Family) -> None:
    recost.init(**STARTING)
    assert family.caller(1).call(1)
    wait_for_leader(timeout_s=FREE_S)


def _check_free(family: Family) -> None:
    """A worker that looks for a leader has it for an instant."""
    try:
        wait_until(functools.partial(_is_free, str(family.place.runtime)), FREE_S, "the spawn lock to be free")
    except AssertionError as exc:
        family.check(None, str(exc))


def _is_free(directory: str) -> bool:
    with SpawnLock(directory) as lock:
        return lock.taken


def _start_without_unlock(family: Family) -> None:
    """A lock that is closed and not unlocked stays with the copies of the children."""

    def live() -> None:
        replace(_spawn, "unlock", lambda _: None)
        _replace_launcher(family.place.home / "launch.py")
        _fork_at_the_start(family)

    family.live(live)
    _check_free(family)
    family.bury()


def _replace_launcher(path: Path) -> None:
    """The next collector closes the lock, too, instead of unlocking it."""
    unlocking = "fcntl.flock(SPAWN_FD, fcntl.LOCK_UN)"
    text = Path(launch.__file__).read_text("utf-8")
    assert unlocking in text
    path.write_text(text.replace(unlocking, "pass"), "utf-8")
    start = _spawn._posix_spawn

    def start_other(interpreter: str, arguments: list[str], *rest: Any, **keywords: Any) -> int:
        pid: int = start(interpreter, [*arguments[:SCRIPT], str(path), *arguments[SCRIPT + 1 :]], *rest, **keywords)
        return pid

    replace(_spawn, "_posix_spawn", start_other)


def _wait_for_no_locks(family: Family) -> None:
    """The children close what is locked, or will be, when they are told that they are children."""
    try:
        wait_until(lambda: not _locks(family), FREE_S, "the children to hold no lock")
    except AssertionError:
        family.report.problems.append(f"children hold locks of their parent: {_locks(family)}")


def _locks(family: Family) -> list[str]:
    """Files that silent children hold a lock of, by a copy of their parent's descriptor."""
    found = []
    for pid in family.report.silent:
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # it closes it just now
                if "lock:" in Path(f"/proc/{pid}/fdinfo/{number}").read_text("utf-8"):
                    found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


def _copies(family: Family) -> int:
    """How many silent children have the spawn lock open."""
    return sum(SPAWN_LOCK in map(os.path.basename, _open_files(pid)) for pid in family.report.silent)


def _open_files(pid: int) -> list[str]:
    folder = f"/proc/{pid}/fd"
    return [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]
