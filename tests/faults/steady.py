"""Workers that call at a steady pace while a row does something to their collector.

All of it for the environment of one place, which whoever uses it has entered.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recost import _spawn
from recost.leader import Leader
from recost_collector.leading import lead
from tests.faults.aside import Aside
from tests.faults.offering import Ledger, Offering
from tests.harness import run_child, start_child, wait_for_child, wait_until
from tests.processes.support import Mail, delivered, leader, wait_for_leader, wait_until_idle

PAUSE_S = 0.005
SLOTS = ACKNOWLEDGED, REFUSED, LOOKS = range(3)
"""What a worker notes in the ledger, beside each other."""
FLUSH_MS, IDLE_EXIT_S = 150, 0.3
TAKEOVER_S = 40.0
AT_ONCE = 8
"""So many tries at a time: for the most part they wait."""
LEADS = " leads: "
LEAVES = "another collector leads"
"""What the log says of a collector that takes the lead, and of one that has lost it."""


class Crew:
    """Forked workers, at work until ``leave``; each then ends without a word, as after ``os._exit``."""

    def __init__(self, workers: int = 2, **settings: Any) -> None:
        os.environ["RECOST_FLUSH_INTERVAL_MS"] = str(FLUSH_MS)
        os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = str(IDLE_EXIT_S)
        self._stop = Mail()
        self._ledger = Ledger(Path(os.environ["HOME"]) / "ledger", len(SLOTS) * workers)
        firsts = range(0, len(SLOTS) * workers, len(SLOTS))
        self._pids = [start_child(lambda first=first: self._work(first, settings)) for first in firsts]

    @property
    def acknowledged(self) -> int:
        return sum(self._noted(ACKNOWLEDGED))

    @property
    def refused(self) -> int:
        """Calls that found their ring full."""
        return sum(self._noted(REFUSED))

    @property
    def looks(self) -> int:
        """Looks for a living collector, by the worker that made the fewest."""
        return min(self._noted(LOOKS))

    def leave(self) -> None:
        """End them. Fails when one did not end in good order."""
        with self._stop:
            self._stop.put()
            codes = [wait_for_child(pid) for pid in self._pids]
        assert not any(codes), f"workers ended with {codes}"

    def wait_for_calls(self, calls: int) -> None:
        """Until so many more were made, whatever became of them."""
        enough = self.acknowledged + self.refused + calls
        wait_until(lambda: self.acknowledged + self.refused >= enough, 30, f"{calls} more calls")

    def wait_for_looks(self, looks: int) -> None:
        """Until every worker has looked so many times more."""
        enough = self.looks + looks
        wait_until(lambda: self.looks >= enough, 60, f"{looks} more looks")

    def _noted(self, slot: int) -> list[int]:
        return list(self._ledger.counts)[slot :: len(SLOTS)]

    def _work(self, first: int, settings: dict[str, Any]) -> None:
        offering = Offering(**settings)
        while not self._stop.is_there:
            self._ledger.add(first + (ACKNOWLEDGED if offering.offer() else REFUSED))
            link = offering.runtime.link
            self._ledger.counts[first + LOOKS] = 0 if link is None else link.looks
            time.sleep(PAUSE_S)
        os._exit(0)


@contextlib.contextmanager
def at_work(workers: int = 2, **settings: Any) -> Iterator[Crew]:
    """A crew whose windows arrive; it leaves at the end of the block."""
    crew = Crew(workers, **settings)
    try:
        wait_until(delivered, 20, "windows")
        yield crew
    finally:
        crew.leave()


def start_collector() -> None:
    """As a worker does it, unless one leads."""
    wait_until(lambda: _start_collector() or leader(), 10, "a start")


def _start_collector() -> bool:
    started = _spawn.start_collector(os.environ["RECOST_RUNTIME_DIR"])
    if started is None:  # another process is about to do it; it may end before it does
        return False
    wait_until(started.reap, 10, "the middle process to end")
    started.leave()
    return True


def total_in_the_end() -> int:
    """Calls in the local file when every ring is collected and the collector has left.

    One more collector leads after that: what is left in the spool would come out, once too often.
    """
    wait_until_idle()
    wait_until(lambda: leader() is None, 10, "the collector to leave")
    assert run_child(_collect_what_is_left) == 0
    return delivered()


def check_total(aside: Aside, crew: Crew) -> None:
    """In the end as many calls are delivered as were acknowledged."""
    found = total_in_the_end()
    aside.check(found == crew.acknowledged, f"acknowledged {crew.acknowledged:,} calls, delivered {found:,}")


def leader_at_any_moment(aside: Aside, crew: Crew) -> Leader:
    """Who leads, after some calls more or less."""
    found = wait_for_leader()
    crew.wait_for_calls(aside.random.randrange(1, 200))
    return found


def wait_for_successor(aside: Aside, first: Leader, since: float) -> Leader:
    """The next to lead. Notes how long after ``since`` it took the lead."""
    found = wait_for_leader(other_than=first, timeout_s=TAKEOVER_S)
    aside.took(found.started_at_ms / 1000 - since)
    return found


def _collect_what_is_left() -> None:
    leadership = lead(os.environ["RECOST_RUNTIME_DIR"], "thread", 5.0)
    assert leadership is not None
    leadership.turn(time.monotonic())
    leadership.finish(5.0)
