"""Forks of forks, announced and not; and of a process whose pid a later one gets."""

from __future__ import annotations

import functools
import os

import recost
from recost._runtime import Runtime
from tests.faults.aside import side_by_side
from tests.faults.forks import pids
from tests.faults.forks.callers import Caller, the_runtime
from tests.faults.forks.families import AT_ONCE, SETTINGS, Family, tries_of, without
from tests.faults.forks.forking import announced, unannounced
from tests.faults.replacing import replace
from tests.faults.row import Trial
from tests.faults.steady import start_collector
from tests.harness import start_child, wait_for_child, wait_until
from tests.processes.support import Mail

DEPTH = 5
FORKS_OF_A_REUSE = 3
MOST_REUSES = 3
"""In one family: each waits until a ring is removed."""


def of_a_fork(trial: Trial) -> None:
    """Each generation counts for itself, also when it has the pid of an ancestor that is gone."""
    refused = pids.may_choose()
    reuses = 0 if refused else trial.size(3, 60)
    chains = tries_of(_chains, trial.size(30, 800) - FORKS_OF_A_REUSE * reuses)
    if refused:
        side_by_side(trial, chains, AT_ONCE)
        trial.figure(f"no pid used again: {refused}")
        return
    again = tries_of(_reuse, FORKS_OF_A_REUSE * reuses, FORKS_OF_A_REUSE * MOST_REUSES)
    control = without("the check for a pid used again", _reuse_without_check, 1)
    side_by_side(trial, [*chains, *again], AT_ONCE, control)
    trial.figure(f"{reuses:,} pids of dead ancestors used again")


def _chains(family: Family, forks: int) -> None:
    family.live(lambda: _grow(family, forks))
    family.check_rings()
    family.collect()
    family.bury()


def _grow(family: Family, forks: int) -> None:
    recost.init(**SETTINGS)
    for first in range(0, forks, DEPTH):
        _generation(family, min(DEPTH, forks - first), family.caller())


def _generation(family: Family, younger: int, caller: Caller) -> None:
    """Calls before its fork, or not, and after it."""
    caller.call(family.random.randrange(2))
    if younger:
        fork = family.random.choice((announced, unannounced))
        family.fork(fork, functools.partial(_generation, family, younger - 1))
    caller.call(1)


def _reuse(family: Family, forks: int) -> None:
    """In a pid namespace; the collector outside removes the rings of its dead meanwhile."""
    start_collector()
    family.live(lambda: _live_in_a_namespace(family, forks // FORKS_OF_A_REUSE))
    family.check_delivered()
    family.bury()


def _reuse_without_check(family: Family) -> None:
    start_collector()

    def live() -> None:
        replace(Runtime, "here", _here_without_a_second_look)
        _live_in_a_namespace(family, 1)

    family.live(live)
    family.check_delivered()
    family.bury()


def _here_without_a_second_look(self: Runtime) -> Runtime:
    if self.ours[0]:
        return self
    return self._successors.get(os.getpid()) or self._successors.setdefault(os.getpid(), self._succeed())


def _live_in_a_namespace(family: Family, times: int) -> None:
    def live() -> None:
        recost.init(**SETTINGS)
        family.caller().call()
        for _ in range(times):
            _use_a_pid_again(family)

    code = pids.run_in_new_namespace(live)
    if code:
        family.report.problems.append(f"one with the pid of a dead ancestor ended with {code}")


def _use_a_pid_again(family: Family) -> None:
    """Of a child, for its grandchild: the second generation is an orphan by then, the first one's ring is gone."""
    first, second, third = (family.descendant() for _ in range(FORKS_OF_A_REUSE))
    with Mail() as born:

        def be_first() -> None:
            first.call()
            ring = the_runtime().ring
            assert ring is not None
            born.put(str(start_child(functools.partial(be_second, os.getpid(), ring.path))).encode())

        def be_second(pid: int, ring: str) -> None:
            wait_until(lambda: not os.path.exists(f"/proc/{pid}") and not os.path.exists(ring), what="the end")
            second.call()
            pids.choose_next(pid)
            found = start_child(third.call)
            assert found == pid
            assert wait_for_child(found) == 0

        assert wait_for_child(start_child(be_first)) == 0
        assert wait_for_child(int(born.take())) == 0
