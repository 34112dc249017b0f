"""A service is stopped as systemd does it: SIGTERM to every process of it, the collector included.

The collector stays for the workers that end in good order, and goes after them.  In half of the tries the workers may
not start another one: then it alone can deliver what they publish after the signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from recost.paths import make_private_dir
from recost_collector import process
from tests.faults.ends import leave_through_atexit
from tests.faults.offering import Ledger, Offering
from tests.faults.row import Trial
from tests.faults.spawning import start_collector
from tests.harness import start_child, wait_for_child, wait_until
from tests.processes.support import counts, rings, wait_for_leader, wait_until_idle

PR_SET_CHILD_SUBREAPER = 36
LAST_WORK_S = 0.3
"""What a worker still works after the signal."""
LONG_WORK_S = process.STAY_FOR_WORKERS_S + 2
"""Longer than the collector stays for it."""
SLACK_S = process.LAST_DELIVERY_S + 3
"""What the collector may take to be gone beyond what it waits for, on a busy machine."""

Publish = Callable[[Callable[[], bool]], None]
"""Publishes, a call each millisecond, until what it is given is true."""


def be_ended(publish: Publish) -> None:
    """Python's default: the signal ends the process, in the middle of whatever it does."""
    publish(lambda: False)


def exit_in_handler(publish: Publish) -> None:
    """A handler that raises ``SystemExit``, in the middle of whatever the main thread does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with contextlib.suppress(SystemExit):
        publish(lambda: False)
    leave_through_atexit()


def finish_work(publish: Publish, seconds: float = LAST_WORK_S) -> None:
    """A handler that only takes note: what has begun is finished first."""
    told_at: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: told_at.append(time.monotonic()))
    publish(lambda: bool(told_at) and time.monotonic() > told_at[0] + seconds)
    leave_through_atexit()


def finish_long_work(publish: Publish) -> None:
    finish_work(publish, LONG_WORK_S)


class Kind(NamedTuple):
    """What a worker does about the signal."""

    work: Callable[[Publish], None]
    code: int
    surplus: int
    """Calls that may have been published when it had no time to note them as acknowledged."""

    @property
    def path(self) -> str:
        return f"/{self.work.__name__}"


KINDS = (Kind(be_ended, -signal.SIGTERM, 1), Kind(exit_in_handler, 0, 1), Kind(finish_work, 0, 0))
LONG = Kind(finish_long_work, 0, 0)


class Group:
    """The processes of a service, all at work."""

    def __init__(self, trial: Trial, kinds: tuple[Kind, ...], *, may_start: bool) -> None:
        """``may_start``: the workers may start a collector. Otherwise there is one already, or this starts it."""
        self._trial = trial
        self._kinds = kinds
        self._ledger = Ledger(Path(os.environ["HOME"], "ledger"), len(kinds))
        if not may_start:
            start_collector()
        mode = "auto" if may_start else "external"
        self._workers = [start_child(lambda slot=slot: self._work(slot, mode)) for slot in range(len(kinds))]
        self.collector = wait_for_leader(timeout_s=30).pid
        wait_until(lambda: all(self._ledger.counts), 30, "all workers to be at work")

    def stop(self) -> float:
        """Signal everybody and wait for all. Gives the time from the end of the last worker to the collector's."""
        everybody = [self.collector, *self._workers]
        self._trial.random.shuffle(everybody)
        for pid in everybody:
            os.kill(pid, signal.SIGTERM)
        for kind, pid in zip(self._kinds, self._workers):
            code = wait_for_child(pid)
            self._trial.check(code == kind.code, f"the worker {kind.path} ended with {code}, not {kind.code}")
        ended_at = time.monotonic()
        code = wait_for_child(self.collector)
        self._trial.check(code == 0, f"the collector ended with {code}")
        return time.monotonic() - ended_at

    def missing(self) -> list[str]:
        """Acknowledged calls that did not arrive, and calls that arrived and were none."""
        arrived = counts()
        wrong = []
        for slot, kind in enumerate(self._kinds):
            acknowledged = self._ledger.counts[slot]
            if not acknowledged <= arrived[kind.path] <= acknowledged + kind.surplus:
                wrong.append(f"{kind.path}: {acknowledged} acknowledged, {arrived[kind.path]} delivered")
        return wrong

    def _work(self, slot: int, mode: str) -> None:
        kind = self._kinds[slot]

        def publish(until: Callable[[], bool]) -> None:
            offering = Offering(collector=mode)
            while not until():
                if offering.offer(kind.path):
                    self._ledger.add(slot)
                time.sleep(0.001)  # the pace of its calls

        kind.work(publish)


def run(trial: Trial) -> None:
    """Every process of the service is signalled; in the control the collector goes at once."""
    _adopt_orphans()
    tries = trial.size(2, 20)
    trial.plan(tries)
    longest_s = max(_stop_group(trial, may_start=bool(number % 2)) for number in range(tries))
    trial.figure(f"the collector left {longest_s:.1f} s after the last worker, at most")
    if trial.full:
        _outlive_collector(trial)
    tries = trial.size(1, 4)
    wrong = sum(_stop_without_patience(trial) for _ in range(tries))
    trial.controlled("the collector's patience", wrong, tries)


def _stop_group(trial: Trial, *, may_start: bool) -> float:
    _enter(trial)
    group = Group(trial, KINDS, may_start=may_start)
    took_s = group.stop()
    trial.check(took_s < SLACK_S, f"the collector left {took_s:.1f} s after the last worker")
    for wrong in group.missing():
        trial.violated(f"everybody had gone: {wrong}")
    trial.check(not rings(), f"rings are left: {rings()}")
    trial.tried()
    return took_s


def _outlive_collector(trial: Trial) -> None:
    """A worker that works on for longer than the collector stays: at its end it starts another one."""
    _enter(trial)
    began_at = time.monotonic()
    group = Group(trial, (*KINDS, LONG), may_start=True)
    group.stop()
    stayed_s = time.monotonic() - began_at
    trial.check(stayed_s < LONG_WORK_S + SLACK_S, f"all was over after {stayed_s:.1f} s")
    wait_until_idle()
    for wrong in group.missing():
        trial.violated(f"a worker that works for {LONG_WORK_S:g} s after the signal: {wrong}")
    trial.tried()


def _stop_without_patience(trial: Trial) -> bool:
    """Whether the final window is missing then. The next collector has it, or that is a violation."""
    place = _enter(trial)
    make_private_dir(place)

    def collect() -> None:
        process.STAY_FOR_WORKERS_S = 0.0
        process.run(place, "spawned", 5.0)

    start_child(collect)
    wait_for_leader(timeout_s=30)
    group = Group(trial, KINDS, may_start=False)
    group.stop()
    is_missing = bool(group.missing())
    start_collector()
    wait_until_idle()
    for wrong in group.missing():
        trial.violated(f"after the next collector's work: {wrong}")
    return is_missing


def _enter(trial: Trial) -> str:
    place = trial.place()
    place.enter()
    os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = "0.3"
    return str(place.runtime)


def _adopt_orphans() -> None:
    """From here on a collector, which is nobody's child, becomes this process's: its exit code can be had."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
