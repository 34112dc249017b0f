"""A process that forks, and its children: what each of them called, and what they leave behind.

Mostly nobody collects before all is over and the rings are read; then a real collector delivers them.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import traceback
from pathlib import Path
from typing import Any, Callable

import msgspec

from recost.leader import read_leader
from recost.ring.files import RING_PREFIX, UNFINISHED_PREFIX
from tests.faults.aside import Aside, Try, Without
from tests.faults.forked import run_forked, wait_for_end
from tests.faults.forks.callers import CHILD, PARENT, Account, Caller, account, read_rings
from tests.faults.forks.forking import Fork, Work
from tests.faults.offering import Ledger
from tests.faults.steady import start_collector
from tests.harness import wait_for_child, wait_until
from tests.processes.support import Mail, counts, leader, rings

BATCH = 40
"""So many forks has a family, at most."""
AT_ONCE = 8
"""So many families live at a time: mostly they wait for their collector to look, and to leave."""
PARENT_SLOTS, SLOTS = 8, 1024
DEADLINE_S = 20.0
"""What a child does takes milliseconds; one that takes longer hangs."""
SETTINGS: dict[str, Any] = {
    "normalize_paths": False,
    "ring_bytes": 1 << 17,
    "collector": "external",
    "shutdown_flush_timeout_ms": 0,
}

DEAD = "ZX"
"""States of a process that has ended."""
RINGS = (RING_PREFIX, UNFINISHED_PREFIX)


class Report(msgspec.Struct):
    """What the parent has seen."""

    problems: list[str] = []
    silent: list[int] = []
    """Children that live on and have made no call."""
    seen: int = 0
    """How often something was the case that makes a try a hard one."""
    pid: int = 0


class Family:
    """A parent and its children, in the place of a try. Parent and children have copies of it."""

    def __init__(self, aside: Aside) -> None:
        self.random = aside.random
        self.place = aside.place
        self.check = aside.check
        os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = "0.3"
        self.ledger = Ledger(self.place.home / "ledger", SLOTS)
        self.report = Report()
        self.notes = Ledger(self.place.home / "notes", 1)
        """What a child has to tell its parent: one at a time."""
        self.speak, self.end = Mail(), Mail()
        """What silent children wait for: to make a call after all, and to end."""
        self._slots = itertools.count(PARENT_SLOTS)

    # Of the parent.

    def caller(self, slot: int = 0) -> Caller:
        """For a thread of the parent."""
        return Caller(self.ledger, slot, PARENT)

    def descendant(self) -> Caller:
        """For a child, or one of its threads; made before the fork, or the next child has the same."""
        return Caller(self.ledger, next(self._slots), CHILD)

    def fork(self, fork: Fork, live: Callable[[Caller], object], within_s: float = DEADLINE_S) -> None:
        """A child that does ``live`` and ends without a word, in time."""
        caller = self.descendant()

        def live_well() -> None:
            known = len(self.report.problems)
            try:
                live(caller)
                assert len(self.report.problems) == known, self.report.problems[known:]
            except Exception:
                self._last_words(os.getpid()).write_text(traceback.format_exc(limit=-2))
                raise

        self.await_end(fork(live_well), within_s)

    def fork_silent(self, fork: Fork) -> None:
        """A child that lives on, and calls nobody before it is told to."""
        caller = self.descendant()

        def be_silent() -> None:
            wait_until(lambda: self.speak.is_there or self.end.is_there, 10 * DEADLINE_S, "a word")
            if self.speak.is_there:
                caller.call()
                read_leader(str(self.place.runtime))  # as its watcher does
            self.end.wait(10 * DEADLINE_S)

        self.report.silent.append(fork(be_silent))

    def await_end(self, pid: int, within_s: float = DEADLINE_S) -> None:
        try:
            wait_for_end(pid, within_s)
            code = wait_for_child(pid, 0)
        except AssertionError:
            self.report.problems.append(f"a child hangs: it did not end within {within_s:g} s")
        else:
            words = self._last_words(pid)
            if code:
                told = words.read_text() if words.exists() else ""
                self.report.problems.append(f"a child ended with {code}: {told}")

    def _last_words(self, pid: int) -> Path:
        return self.place.home / f"ended-{pid}"

    # Of the row.

    def live(self, parent: Work) -> None:
        """Fork the parent, which is killed when it has done its part, and take in what it has seen."""
        path = self.place.home / "report"

        def live() -> None:
            parent()
            self.report.pid = os.getpid()
            path.write_bytes(msgspec.json.encode(self.report))
            os.kill(os.getpid(), signal.SIGKILL)

        code = run_forked(live)
        if self.check(code == -signal.SIGKILL, f"the parent ended with {code}"):
            self.report = msgspec.json.decode(path.read_bytes(), type=Report)
        for problem in self.report.problems:
            self.check(None, problem)

    @property
    def acknowledged(self) -> Account:
        noted = list(self.ledger.counts)
        return Account(sum(noted[:PARENT_SLOTS]), sum(noted[PARENT_SLOTS:]))

    def check_rings(self) -> None:
        """Nobody writes into a ring but the process that made it, and all that was acknowledged is there."""
        found, strangers = read_rings()
        self.check(not strangers, f"in a ring of another process: {strangers}")
        self.check(found == self.acknowledged, f"acknowledged {self.acknowledged}, in the rings {found}")

    def check_delivered(self) -> None:
        """Every ring is collected and removed, silent children or not, and totals are exact when the collector left."""
        try:
            wait_until(lambda: not rings(), DEADLINE_S, "the rings to be collected")
            wait_until(lambda: leader() is None, DEADLINE_S, "the collector to leave")
        except AssertionError as exc:
            self.check(None, f"{exc}: does a living process hold the lock of a dead one?")
        else:
            found = account(counts())
            self.check(found == self.acknowledged, f"acknowledged {self.acknowledged}, delivered {found}")

    def check_alive(self) -> None:
        """The silent children are as they were when they were forked, and not ended by anything of ours."""
        dead = [pid for pid in self.report.silent if not is_alive(pid)]
        self.check(not dead, f"of {len(self.report.silent)} children that live on {len(dead)} do not")

    def collect(self) -> None:
        """Start a collector, and ``check_delivered``."""
        start_collector()
        self.check_delivered()

    def bury(self) -> None:
        """The end of all who live on, and of the collector: nothing may be left."""
        self.end.put()
        for pid in self.report.silent:
            wait_until(lambda pid=pid: not is_alive(pid), DEADLINE_S, "a silent child to end")
        wait_until(lambda: leader() is None, DEADLINE_S, "the collector to leave")
        left = [file.name for file in self.place.runtime.iterdir() if file.name.startswith(RINGS)]
        self.check(not left, f"left in the runtime directory: {left}")
        self.close()

    def close(self) -> None:
        """Without looking at what is left."""
        for mail in (self.speak, self.end):
            mail.__exit__()


def is_alive(pid: int) -> bool:
    """Also a child of somebody else: one that nobody has waited for yet is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] not in DEAD
    except (FileNotFoundError, ProcessLookupError):
        return False


def tries_of(live: Callable[[Family, int], None], forks: int, most: int = BATCH) -> list[Try]:
    """Families that share ``forks``; ``live`` is the whole story of one that has so many."""

    def run(size: int, aside: Aside) -> None:
        family = Family(aside)
        live(family, size)
        aside.found.seen = family.report.seen

    sizes = [min(most, forks - first) for first in range(0, forks, most)]
    return [Try(f"{live.__name__} {number}", functools.partial(run, size), size) for number, size in enumerate(sizes)]


def without(what: str, live: Callable[[Family], None], tries: int) -> Without:
    """The control: so many families, each without this protection."""
    return Without(what, [Try(what, lambda aside: live(Family(aside)))] * tries)
