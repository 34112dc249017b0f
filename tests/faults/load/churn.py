"""A worker process for each request: ten thousand of them leave nothing behind, in the collector or on disk.

The workers are forked from a warm parent, several at a time, as a server with ``max_requests = 1`` does.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from recost.paths import make_private_dir
from recost.ring.files import RING_PREFIX, UNFINISHED_PREFIX
from recost_collector import process
from recost_collector.keys import PREFIX as KEY_PREFIX
from recost_collector.source import Source
from tests.faults.ends import be_killed, leave_at_once, leave_through_atexit
from tests.faults.load.watching import JOURNAL_KIB, Growth, Holdings, Watched, growth
from tests.faults.offering import Ledger, Offering
from tests.faults.row import Place, Row, Trial
from tests.harness import start_child, wait_for_child
from tests.processes.support import delivered, wait_for_leader, wait_until_idle

AT_ONCE = 6
MOST_CALLS = 4
LOOKS = (4, 20)
"""Quick and full; there is one when so many parts of the workers are gone, and all that they left is worked in."""
PARTS = (4, 10)
BOUND = Growth(4096, descriptors=4, files=2, state_files=2, kept_rows=2, waiting_rows=2, spool_kib=512)
"""What the last part may have beyond the second; the first is the warming up."""
CALM_S = 10.0
CONTROL_WORKERS, CONTROL_CALM_S = 60, 1.0
"""In the control it never is calm."""

ENDS: dict[Callable[[], None], int] = {leave_through_atexit: 0, leave_at_once: 0, be_killed: -signal.SIGKILL}
"""How a worker ends, and the exit code that this gives."""


class Outcome(NamedTuple):
    """What a run of workers came to."""

    looks: list[Holdings]
    wrong: list[str]
    ends: Counter[str]
    seconds: float


class Churn:
    """Workers of one place, one after the other in ``AT_ONCE`` slots."""

    def __init__(self, trial: Trial, place: Place, workers: int, calm_s: float = CALM_S) -> None:
        place.enter()
        # Longer than any pause between two workers: one collector must serve them all.
        os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = "8"
        self._trial = trial
        self._workers = workers
        self._calm_s = calm_s
        self.ledger = Ledger(place.home / "ledger", workers + 1)
        self._running: dict[int, Callable[[], None]] = {}
        self._wrong: list[str] = []
        self._ends: Counter[str] = Counter()

    def run(self, tried: Callable[[], None] = lambda: None) -> Outcome:
        began_at = time.monotonic()
        self._start(0, leave_through_atexit)  # it waits for its collector, others may end before there is one
        watched = Watched()
        tried()
        looks = []
        part = self._workers // self._trial.size(*LOOKS)
        for number in range(1, self._workers):
            if len(self._running) >= AT_ONCE:
                self._wait_for_one()
            self._start(number, self._trial.random.choice(list(ENDS)))
            tried()
            if number % part == part - 1:
                while self._running:
                    self._wait_for_one()
                looks.append(watched.look_when_calm(most_kept=1, timeout_s=self._calm_s))
        if not watched.leads:
            self._wrong.append("the collector was replaced although nobody killed it")
        return Outcome(looks, self._wrong, self._ends, time.monotonic() - began_at)

    def last(self) -> None:
        """A worker after all the others, whose collector need not wait for more of them."""
        os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = "0.2"
        wait_for_child(start_child(lambda: self._work(self._workers, 1, leave_through_atexit)))

    def _start(self, number: int, end: Callable[[], None]) -> None:
        calls = self._trial.random.randint(1, MOST_CALLS)
        self._ends[end.__name__] += 1
        self._running[start_child(lambda: self._work(number, calls, end))] = end

    def _work(self, number: int, calls: int, end: Callable[[], None]) -> None:
        Offering(ring_bytes=64 << 10).offer_all(self.ledger, number, calls)
        end()

    def _wait_for_one(self) -> None:
        pid, status = os.wait()
        end = self._running.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if code != ENDS[end]:
            self._wrong.append(f"a worker that should {end.__name__} ended with {code}")


def run(trial: Trial) -> None:
    """The workers, then a control whose collector does not let go of a dead worker's ring."""
    workers = trial.size(200, 10_000)
    trial.plan(workers)
    place = trial.place()
    churn = Churn(trial, place, workers)
    outcome = churn.run(trial.tried)
    churn.last()
    _judge(trial, outcome)
    _check_the_end(trial, place, churn.ledger.total)
    trial.figure(f"{workers / outcome.seconds:.0f} workers a second: {_told(outcome.ends)}")
    _control(trial)


def _judge(trial: Trial, outcome: Outcome) -> None:
    grew = growth(outcome.looks, trial.size(*PARTS))
    for wrong in (*outcome.wrong, *grew.beyond(BOUND)):
        trial.violated(wrong)
    journal_kib = max(look.journal_kib for look in outcome.looks)
    trial.check(journal_kib <= JOURNAL_KIB, f"the spool's journal had {journal_kib} KiB, bound {JOURNAL_KIB}")
    last = outcome.looks[-1]
    trial.figure(f"RSS {last.rss_kib / 1024:.1f} MiB, {grew.rss_kib / 1024:+.1f}")
    trial.figure(f"{last.descriptors} descriptors, {last.files} files, spool {last.spool_kib} KiB")


def _check_the_end(trial: Trial, place: Place, acknowledged: int) -> None:
    """Everything is delivered and nothing is left but what names the place."""
    wait_until_idle()
    trial.check(not _left(place), f"left in the runtime directory: {_left(place)}")
    arrived = delivered()
    trial.check(arrived == acknowledged, f"{acknowledged} calls were acknowledged, {arrived} delivered")


def _left(place: Place) -> list[str]:
    kinds = (RING_PREFIX, UNFINISHED_PREFIX, KEY_PREFIX)
    return [name for name in os.listdir(place.runtime) if name.startswith(kinds)]


def _control(trial: Trial) -> None:
    """The same with a collector that drains and delivers as always and only never reaps."""
    place = trial.place()
    place.enter()
    make_private_dir(str(place.runtime))
    pid = start_child(lambda: _collect_without_reaping(place.runtime))
    wait_for_leader()
    churn = Churn(trial, place, CONTROL_WORKERS, CONTROL_CALM_S)
    grown = growth(churn.run().looks, trial.size(*PARTS)).beyond(BOUND)
    os.kill(pid, signal.SIGTERM)
    wait_for_child(pid)
    trial.controlled("reaping the rings of the dead", len(grown), len(BOUND))


def _collect_without_reaping(runtime: Path) -> None:
    Source.is_finished = property(lambda _source: False)  # type: ignore[assignment,method-assign]
    process.run(str(runtime), "run", 5.0)


def _told(ends: Counter[str]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(ends.items()))


ROWS = [
    Row(
        "churn",
        "a worker process per request: files, rows, disk, memory and descriptors stay flat, every call arrives",
        run,
        limit_s=(90.0, 700.0),
    )
]
