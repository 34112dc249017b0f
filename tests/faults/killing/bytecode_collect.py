"""A collector is killed at every instruction between a ring and the file; the next one brings the totals to exact."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

from tests.collector.collecting import Worker
from tests.collector.hasty import release_before_commit
from tests.faults.forked import Helper, run_forked
from tests.faults.killing import one_collect
from tests.faults.killing.instructions import Executed, Instruction, KillAt, Point, read_executed, traced
from tests.faults.row import Trial

KILLED = -signal.SIGKILL
QUICK_TRIES = 80
QUICK_CONTROLS, CONTROLS = 10, 40
ALSO_LAST = ("service.py", "spool.py", "telling.py", "finished.py", "ndjson.py", "lines.py")
"""Where what is made true differs between the first and the last time."""
UNDISTURBED = 3
"""Collects that are watched first: what only some of them execute, depending on their threads' turns, is left out."""
ATTEMPTS = 3
"""At a point that a run can miss, for its threads do not take turns in the same way each time."""


def collect(trial: Trial) -> None:
    """The row."""
    tries = Tries(trial)
    executed = tries.executed()
    points = [Point(at, nth) for at, times in executed.items() for nth in _wanted(at, times)]
    chosen = points if trial.full else trial.random.sample(points, QUICK_TRIES)
    trial.plan(len(chosen))
    try:
        missed = tries.kill_all(chosen)
        trial.controlled("the commit before the heads", *tries.without_order(executed))
    finally:
        tries.stop()
    first = sum(point.execution == 1 for point in chosen)
    trial.figure(
        f"{first:,} of {len(executed):,} distinct instructions at their first execution,"
        f" {len(chosen) - first:,} at their last, of {sum(executed.values()):,} executions in a collect"
    )
    if missed:
        trial.figure(f"{missed} points not met again")


def _wanted(instruction: Instruction, times: int) -> set[int]:
    return {1, times} if instruction.place.startswith(ALSO_LAST) else {1}


class Tries:
    """A collect that is killed, calls that come after it, and a collect that is not."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._root = trial.memory / "place"
        one_collect.new_place(self._root)
        self._next_collector = Helper(lambda _: one_collect.collect(stay=True))

    def executed(self) -> dict[Instruction, int]:
        """The instructions of an undisturbed collect, and how often each executes at least."""
        first, *others = (self._executed_once() for _ in range(UNDISTURBED))
        return {at: min(run[at] for run in (first, *others)) for at in first if all(at in run for run in others)}

    def kill_all(self, points: list[Point]) -> int:
        """Note what each kill violates. Returns how many points the collector did not come to."""
        collector = Helper(lambda number: one_collect.collect(traced(KillAt(points[number]))), in_children=True)
        try:
            return sum(not self._kill(collector, number, point) for number, point in enumerate(points))
        finally:
            collector.stop()

    def without_order(self, executed: dict[Instruction, int]) -> tuple[int, int]:
        """(wrong, tries) with a collector that gives room back to the rings before it commits what it read."""
        in_commit = [Point(at, 1) for at in executed if at.place.startswith("spool.py") and " _write" in at.place]
        points = self._trial.random.sample(in_commit, self._trial.size(QUICK_CONTROLS, CONTROLS))
        wrong = sum(bool(self._try(partial(run_forked, partial(_collect_hastily, point)))[1]) for point in points)
        return wrong, len(points)

    def stop(self) -> None:
        self._next_collector.stop()

    def _executed_once(self) -> dict[Instruction, int]:
        found = self._trial.memory / "executed"

        def count() -> int:
            tracer = Executed()
            return run_forked(lambda: (one_collect.collect(traced(tracer)), tracer.write(found)))

        code, faults = self._try(count)
        self._trial.check(code == 0 and not faults, f"undisturbed: code {code}, {faults}")
        return read_executed(found)

    def _kill(self, collector: Helper, number: int, point: Point) -> bool:
        code = 0
        for _ in range(ATTEMPTS):
            code, faults = self._try(partial(collector, number))
            for fault in faults:
                self._trial.violated(f"{point}: {fault}")
            self._trial.check(code in (0, KILLED), f"{point}: the collector ended with {code}")
            if code == KILLED:
                break
        self._trial.tried()
        return code == KILLED

    def _try(self, first_collector: Callable[[], int]) -> tuple[int, list[str]]:
        """How the first collector ended, and what is wrong after the second one."""
        place = one_collect.new_place(self._root)
        living = Worker(one_collect.session())
        one_collect.offer(living.writer, one_collect.EARLY)
        one_collect.leave_a_dead_workers_ring()
        code = first_collector()
        one_collect.offer(living.writer, one_collect.LATE)
        living.ring.close()
        second = self._next_collector()
        faults = one_collect.faults_of(place)
        return code, [*faults, f"the next collector ended with {second}"] if second else faults


def _collect_hastily(point: Point) -> None:
    release_before_commit()
    one_collect.collect(traced(KillAt(point)))
