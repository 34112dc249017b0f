"""The controls of the rows about spools: collectors, or workers, that lack one protection.

Each is made once with the protection in its place, too, and must see nothing wrong then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from functools import partial
from pathlib import Path
from unittest import mock

from recost import _link
from recost._link import Link
from recost.ring import layout
from recost.ring.layout import MAJOR, MIN_CAPACITY
from recost_collector import service
from recost_collector.changes import Changes
from recost_collector.clock import Clock
from recost_collector.spool import Spool, SpoolTrouble
from recost_collector.spool_place import LOCK_FILE
from tests.faults import led
from tests.faults.disks.damage import set_word
from tests.faults.disks.mounts import enter_namespace, fill, mount_tmpfs
from tests.faults.disks.sites import Site, kill_leader, wait_for_leader
from tests.faults.disks.told import Worker
from tests.faults.disks.tries import Without
from tests.faults.replacing import replace, take_away
from tests.faults.row import Trial
from tests.harness import wait_until

CALLS = 50
LAYOUT = 2
"""Word of a ring's header."""
DAY_NS = 86_400 * 10**9
LAP = 2000
"""More calls than the smallest ring holds."""
LAP_S = 6.0
"""For them: without room nothing is gained by waiting longer."""
UNTOUCHED = 60_000
"""ms: no window closes by itself."""
SOON_S = 10.0
"""What takes a fraction of a second does not come any more."""


def _give_up_a_commit(trial: Trial) -> None:
    """It fails, and the collector gives room in the ring back as if it had not; then it is killed."""
    enter_namespace(trial)
    with Site(trial) as site:
        mount_tmpfs(site.place.state, "size=3m")
        site.lead(_commit_once)
        worker = site.hire(
            collector="external", ring_bytes=MIN_CAPACITY, flush_interval_ms=UNTOUCHED, max_batch_size=100_000
        )
        worker.offer_all(CALLS)
        worker.wait_until_read()
        filler = fill(site.place.state)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: worker.offer(CALLS) >= 0 and site.ledger.total > LAP, LAP_S)
        kill_leader(site.runtimes[0])
        filler.unlink()
        other = site.hire()
        other.offer_all(CALLS)
        other.flush(10.0)
        site.leave()
        trial.check(site.arrived() == site.ledger.total, f"{site.arrived()} of {site.ledger.total} calls arrived")


def _share_without_epoch(trial: Trial) -> None:
    """Two collectors in two directories, which do not know of each other."""
    with Site(trial) as site:
        first = site.place.runtime
        second = first.parent / "second"
        second.mkdir(mode=0o700)
        site.lead(led.commit_whatever_the_epoch)
        worker = site.hire()
        worker.offer_all(CALLS)
        site.wait_for_calls(CALLS)
        shutil.copy(first / "spool-id", second)
        (site.spool / LOCK_FILE).unlink()
        site.lead(led.commit_whatever_the_epoch, second)
        other = site.hire(partial(os.environ.__setitem__, "RECOST_RUNTIME_DIR", str(second)))
        site.block_delivery()
        _offer_and_flush({worker: CALLS, other: 2 * CALLS})
        site.unblock_delivery()
        _offer_and_flush({worker: CALLS, other: 2 * CALLS})
        site.leave()
        trial.check(site.arrived() == site.ledger.total, f"{site.arrived()} of {site.ledger.total} calls arrived")


def _count_by_the_wall(trial: Trial) -> None:
    """The clock is set a day back: a window that is open lasts that much longer."""
    with Site(trial) as site:
        moved = site.place.home / "moved"
        site.lead(partial(_trust_a_clock, moved))
        worker = site.hire(flush_interval_ms=1000)
        worker.offer_all(CALLS)
        worker.wait_until_read()
        moved.touch()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: site.arrived() == CALLS, SOON_S)
        trial.check(site.arrived() == CALLS, f"{site.arrived()} of {CALLS} calls arrived within {SOON_S:g} s")
        moved.unlink()


def _read_every_layout(trial: Trial) -> None:
    with Site(trial) as site:
        dead = site.hire(collector="external")
        dead.offer_all(CALLS)
        ring = dead.ring
        dead.kill()
        set_word(LAYOUT, (MAJOR + 1) << 32, ring)
        site.lead(partial(take_away, layout, "MAJOR", mock.ANY))
        worker = site.hire()
        worker.offer_all(CALLS)
        worker.flush()
        site.leave()
        trial.check(ring.exists(), f"a ring of another layout was removed, and {site.arrived()} calls arrived")


def _leave_it_to_the_older_one(trial: Trial) -> None:
    with Site(trial) as site:
        site.hire().offer_all(CALLS)
        first = wait_for_leader(site.runtimes[0])
        newer = site.hire(_be_newer_and_modest)
        newer.offer_all(CALLS)
        with contextlib.suppress(AssertionError):
            wait_for_leader(site.runtimes[0], first, SOON_S)
        found = wait_for_leader(site.runtimes[0])
        trial.check(found != first, "the collector of an older version goes on with a newer worker")


def _offer_and_flush(calls: dict[Worker, int]) -> None:
    for worker, count in calls.items():
        worker.offer_all(count)
    for worker in calls:
        worker.flush(1.0)


def _commit_once() -> None:
    commit = Spool.commit

    def commit_or_forget(spool: Spool, changes: Changes) -> None:
        with contextlib.suppress(SpoolTrouble):
            commit(spool, changes)

    take_away(Spool, "commit", commit_or_forget)


def _trust_a_clock(moved: Path) -> None:
    """For everything, and it is a day slow as long as ``moved`` is there."""

    def read_wall() -> int:
        return time.time_ns() - DAY_NS * moved.exists()

    replace(service, "read_clock", lambda: Clock(time.monotonic(), read_wall()))
    take_away(service, "read_clock", lambda: Clock(read_wall() / 1e9, read_wall()))


def _be_newer_and_modest() -> None:
    replace(_link, "__version__", "99.0.0")
    take_away(Link, "_check_version", lambda _: None)


CONTROLS = {
    "spool.disk_full": Without("a second try of a commit", _give_up_a_commit),
    "spool.shared": Without("the epoch check", _share_without_epoch),
    "spool.clock": Without("a monotonic clock", _count_by_the_wall),
    "spool.layouts": Without("a look at the major", _read_every_layout),
    "spool.versions": Without("the hand-over to a newer version", _leave_it_to_the_older_one),
}
"""By row."""
