"""Load for a while, with looks at the collector that bears it, and whether these show that it bears it evenly.

The first part of the looks is the warming up; the last is held against the second.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from recost.paths import make_private_dir
from recost_collector import process
from tests.faults.load.watching import JOURNAL_KIB, Growth, Holdings, Watched, growth
from tests.faults.offering import Ledger
from tests.faults.row import Trial
from tests.harness import start_child, wait_for_child
from tests.processes.support import wait_for_leader

PARTS = 3
LOOK_S = 0.1
IDLE_EXIT_S = "1"
CPU_FACTOR = (3.0, 2.0)
"""What a unit of work may cost in the last part, times what it cost in the second: quick, where a part is a second
or two and the machine does other things, and full.
"""

Work = Callable[[Ledger, int], None]
"""What a child does for a while, noting what is done in its slot of the ledger."""


class Look(NamedTuple):
    """The collector, and what the workers have done so far; what waits in the rings is little beside it."""

    holdings: Holdings
    done: int


class Load:
    """Children that work in a new place, which this process enters, too."""

    def __init__(self, trial: Trial, children: int) -> None:
        self._trial = trial
        self.place = trial.place()
        self.place.enter()
        os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = IDLE_EXIT_S
        make_private_dir(str(self.place.runtime))
        self.ledger = Ledger(self.place.home / "ledger", children)

    def do(self, work: Work) -> None:
        """Let them do it, and wait."""
        self._wait_for(self._start(work))

    def run(self, work: Work, tried: Callable[[], None] = lambda: None) -> list[Look]:
        """Let them work, and look until the first has done its part."""
        looks: list[Look] = []
        pids = self._start(work)
        watched = Watched()
        while not any(_has_ended(pid) for pid in pids):
            looks.append(Look(watched.look(), self.ledger.total))
            tried()
            time.sleep(LOOK_S)  # the interval of the looks; nothing is waited for
        self._wait_for(pids)
        self._trial.check(watched.leads, "the collector was replaced although nobody killed it")
        return looks

    def _start(self, work: Work) -> list[int]:
        slots = range(len(self.ledger.counts))
        return [start_child(lambda slot=slot: work(self.ledger, slot)) for slot in slots]

    def _wait_for(self, pids: list[int]) -> None:
        codes = [wait_for_child(pid) for pid in pids]
        self._trial.check(not any(codes), f"workers ended with {codes}")


@contextlib.contextmanager
def collector_without(take_away: Callable[[], None]) -> Iterator[None]:
    """A collector for this process's place in which ``take_away`` has undone what bounds it."""

    def collect() -> None:
        take_away()
        process.run(os.environ["RECOST_RUNTIME_DIR"], "run", 5.0)

    pid = start_child(collect)
    wait_for_leader()
    yield
    os.kill(pid, signal.SIGTERM)
    wait_for_child(pid)


def grown(looks: list[Look], bound: Growth, parts: int = PARTS) -> list[str]:
    """What is beyond its bound at the end."""
    return growth([look.holdings for look in looks], parts).beyond(bound)


def judge(trial: Trial, looks: list[Look], bound: Growth, unit: tuple[str, int], parts: int = PARTS) -> None:
    """Hold the parts against each other. CPU is that for so many of what was done; ``unit`` is the name of so many."""
    for wrong in grown(looks, bound, parts):
        trial.violated(wrong)
    name, size = unit
    second, last = (_cpu_s(looks, part, len(looks) // parts, size) for part in (1, parts - 1))
    trial.check(last <= second * trial.size(*CPU_FACTOR), f"CPU for {name} went from {second:.2f} s to {last:.2f} s")
    journal_kib = max(look.holdings.journal_kib for look in looks)
    trial.check(journal_kib <= JOURNAL_KIB, f"the spool's journal had {journal_kib} KiB, bound {JOURNAL_KIB}")
    rss_kib = growth([look.holdings for look in looks], parts).rss_kib
    trial.figure(f"{looks[-1].done:,} in all; RSS {looks[-1].holdings.rss_kib / 1024:.1f} MiB, {rss_kib / 1024:+.1f}")
    trial.figure(f"CPU for {name} {second:.2f} s, then {last:.2f} s")


def _cpu_s(looks: list[Look], part: int, length: int, size: int) -> float:
    first, last = looks[part * length - 1], looks[(part + 1) * length - 1]
    ticks = last.holdings.cpu_ticks - first.holdings.cpu_ticks
    return ticks / os.sysconf("SC_CLK_TCK") * size / max(1, last.done - first.done)


def _has_ended(pid: int) -> bool:
    """Without taking its exit code from the kernel."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
