"""Many workers make their first calls at the same moment: one collector is started, and none in vain.

The interpreter that they start it with is a script that notes the start and goes on as the real one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Callable, NamedTuple

from recost import _spawn
from recost.ring.layout import MIN_CAPACITY
from tests.faults.offering import Ledger, Offering
from tests.faults.replacing import replace
from tests.faults.row import Place, Row, Trial
from tests.harness import start_child, wait_for_child, wait_until
from tests.processes.support import collectors, delivered, log_lines, wait_for_leader, wait_until_idle

WORKERS = 128
CONTROL_WORKERS = 8
"""Each of them starts a collector."""
CALLS = 5
LOOKS = 2
"""After so many looks of each worker nobody wants to start another one."""
START_S = 60.0
LEADS = " leads: "


class Outcome(NamedTuple):
    """Of one start."""

    starts: int
    """Interpreters started."""
    leads: int
    """Collectors that came to lead."""
    living: int
    """Collectors while all workers lived."""
    acknowledged: int
    delivered: int
    led_after_s: float


class Crowd:
    """Workers that wait for a word to begin, in a place that this process has entered."""

    def __init__(self, place: Place, workers: int, *, lock: bool = True) -> None:
        os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = "0.3"
        self._lock = lock
        self._ledger = Ledger(place.home / "ledger", 2 * workers)
        self._workers = workers
        self._starts = place.home / "starts"
        self._python = _noting_python(place.home, self._starts)
        self._go, self._leave = os.pipe(), os.pipe()
        self._pids = [start_child(lambda slot=slot: self._work(slot)) for slot in range(workers)]
        self._began_at = 0.0

    def begin(self) -> None:
        """All at once: each wakes from the same pipe."""
        self._began_at = time.monotonic()
        os.close(self._go[1])

    def seconds(self) -> float:
        """Since they began."""
        return time.monotonic() - self._began_at

    def end(self, led_after_s: float) -> Outcome:
        """Wait until all have called and looked; then all make one more call, and leave."""
        wait_until(lambda: min(self._noted(0)) >= CALLS, START_S, "the calls")
        wait_until(lambda: min(self._noted(1)) >= LOOKS, START_S, "the looks")
        living = len(collectors())
        os.close(self._leave[1])
        codes = {wait_for_child(pid) for pid in self._pids}
        assert codes == {0}, f"workers ended with {codes}"
        for fd in (self._go[0], self._leave[0]):
            os.close(fd)
        wait_until_idle()
        starts = len(self._starts.read_text().splitlines())
        return Outcome(starts, len(log_lines(LEADS)), living, sum(self._noted(0)), delivered(), led_after_s)

    def _work(self, slot: int) -> None:
        os.close(self._go[1])
        os.close(self._leave[1])
        sys.executable = str(self._python)
        if not self._lock:
            replace(_spawn, "try_lock", lambda _: True)
        offering = Offering(ring_bytes=MIN_CAPACITY)
        select.select([self._go[0]], [], [], START_S)
        offering.offer_all(self._ledger, slot, CALLS)
        while not select.select([self._leave[0]], [], [], 0.1)[0]:
            link = offering.runtime.link
            self._ledger.counts[self._workers + slot] = 0 if link is None else link.looks
        offering.offer_all(self._ledger, slot, 1)
        os._exit(0)

    def _noted(self, what: int) -> list[int]:
        """0: calls of each worker, 1: its looks."""
        return list(self._ledger.counts)[what * self._workers : (what + 1) * self._workers]


def thundering(trial: Trial) -> None:
    """Left alone, and with the first collector killed amid its start."""
    runs, kills = trial.size((1, 1), (5, 3))
    trial.plan(runs + kills)
    led = [_run(trial, _leave_alone, starts=1) for _ in range(runs)]
    replaced = [_run(trial, trial.random.choice((_kill_at_sight, _kill_as_it_leads)), starts=2) for _ in range(kills)]
    trial.figure(f"{WORKERS} workers are led after {max(led):.1f} s")
    trial.figure(f"after {max(replaced):.1f} s when one collector is killed amid its start")
    outcome = _start(trial, CONTROL_WORKERS, _leave_alone, lock=False)
    trial.controlled("the spawn lock", outcome.starts - 1, outcome.starts)


def _run(trial: Trial, meddle: Callable[[], object], starts: int) -> float:
    """One start, of which at most so many interpreters may come. Gives when all were led."""
    found = _start(trial, WORKERS, meddle)
    trial.check(found.starts <= starts, f"{found.starts} collectors started, wanted {starts}")
    trial.check(found.leads <= starts, f"{found.leads} have led, wanted {starts}")
    trial.check(found.living == 1, f"{found.living} collectors live at a time")
    made = WORKERS * (CALLS + 1)
    trial.check(found.acknowledged == found.delivered == made, f"made {made:,} calls, delivered {found.delivered:,}")
    trial.tried()
    return found.led_after_s


def _start(trial: Trial, workers: int, meddle: Callable[[], object], *, lock: bool = True) -> Outcome:
    place = trial.place()
    place.enter()
    crowd = Crowd(place, workers, lock=lock)
    crowd.begin()
    meddle()
    wait_for_leader(timeout_s=START_S)
    return crowd.end(crowd.seconds())


def _leave_alone() -> None:
    """Nothing happens to the collector."""


def _kill_at_sight() -> None:
    for pid in wait_until(collectors, START_S, "a collector"):
        with contextlib.suppress(ProcessLookupError):  # the middle process
            os.kill(pid, signal.SIGKILL)


def _kill_as_it_leads() -> None:
    first = wait_for_leader(timeout_s=START_S)
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: not first.is_alive(), START_S, "its end")


def _noting_python(folder: Path, starts: Path) -> Path:
    """An interpreter, by its name, that adds a line to ``starts`` before it is the real one."""
    path = folder / "python3"
    path.write_text(f'#!/bin/sh\necho $$ >> "{starts}"\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o700)
    return path


ROWS = [Row("thundering", "128 workers start one collector, none in vain, and every call arrives", thundering)]
