"""The controls of the rows about rings: workers that lack one protection, each in the shortest try that it decides.

Each is made once with the protection in its place, too, and must see nothing wrong then.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial

from recost import _link, _own_ring, paths
from recost.ring import files
from recost.ring.files import create_ring
from recost.ring.layout import PAGE
from recost.ring.upkeep import Upkeep
from tests.faults.disks.damage import overwrite
from tests.faults.disks.mounts import enter_namespace, make_read_only, mount_tmpfs
from tests.faults.disks.sites import Site
from tests.faults.disks.told import Died, Worker
from tests.faults.disks.tries import Without
from tests.faults.replacing import replace, take_away
from tests.faults.row import Trial
from tests.harness import wait_until

CALLS = 50
RINGS = 100
"""So many have to fit into 64 MB."""
LOOK_S = 0.3
"""In place of a second, for who would see nothing in ten looks either."""
FLUSH_S = 10.0


def _make_rings_as_large_as_wanted(trial: Trial) -> None:
    enter_namespace(trial)
    folder = trial.place().runtime
    mount_tmpfs(folder, "size=64m")
    take_away(files, "SHARE_OF_FREE", 1)
    made = 0
    with contextlib.suppress(OSError):
        for _ in range(RINGS):
            create_ring(str(folder), b"", 1 << 20)
            made += 1
    trial.check(made == RINGS, f"{made} rings of {RINGS} fit into 64 MB")


def _take_the_last_inode(trial: Trial) -> None:
    """Its ring is there, and nothing that a collector needs."""
    enter_namespace(trial)
    with Site(trial) as site:
        mount_tmpfs(site.place.runtime, "size=64m,nr_inodes=2")
        worker = site.hire(partial(take_away, files, "_require_spare", lambda _: None))
        worker.offer_all(CALLS)
        trial.check(worker.flush(FLUSH_S), f"nobody reads the ring: {worker.errors()}")


def _know_one_directory(trial: Trial) -> None:
    """And that one is read-only."""
    enter_namespace(trial)
    with Site(trial) as site:
        directories = site.runtimes[:1]
        make_read_only(site.place.runtime)
        worker = site.hire(partial(take_away, _own_ring, "runtime_dirs", lambda: directories))
        accepted = worker.offer(CALLS)
        trial.check(accepted == CALLS, f"a ring took {accepted} of {CALLS} calls")


def _accept_a_directory_of_all(trial: Trial) -> None:
    with Site(trial) as site:
        site.place.runtime.chmod(0o777)
        site.hire(partial(take_away, paths, "_refuse_unsafe", lambda *_: None), collector="external").offer_all(CALLS)
        made = os.listdir(site.place.runtime)
        trial.check(not made, f"made in a directory that others can write to: {made}")


def _lose_a_removed_ring(trial: Trial) -> None:
    with Site(trial) as site:
        worker = site.hire(_look_away, collector="external")
        worker.offer_all(CALLS)
        worker.ring.unlink()
        _wait_for_looks(worker, 5)
        _hire_one_that_collects(site)
        site.leave()
        trial.check(site.arrived() == site.ledger.total, f"{site.arrived()} of {site.ledger.total} calls arrived")


def _write_where_nothing_is(trial: Trial) -> None:
    """It had time to see that its ring is cut off."""
    with Site(trial) as site:
        worker = site.hire(_look_away, collector="external")
        worker.offer_all(CALLS)
        _wait_for_looks(worker, 1)  # one that is under way may have judged, and be about to read
        os.truncate(worker.ring, 3 * PAGE)
        with contextlib.suppress(Died):
            _wait_for_looks(worker, 2)
            worker.offer(CALLS)
        trial.check(not worker.has_ended, "the worker of a ring that was truncated long ago ended by a signal")


def _write_what_nobody_reads(trial: Trial) -> None:
    """Its ring is overwritten, and no collector takes it for one."""
    with Site(trial) as site:
        worker = site.hire(_look_away, collector="external")
        worker.offer_all(CALLS)
        overwrite(0, bytes(2 * PAGE), worker.ring)
        _wait_for_looks(worker, 2)
        worker.offer(CALLS)
        _hire_one_that_collects(site)
        lost = site.status().lost
        site.leave()
        made, found = 3 * CALLS, site.arrived()
        trial.check(found + lost >= made, f"{made} calls made, {found} arrived and {lost} are counted as lost")


def _look_away() -> None:
    """In a worker: whatever becomes of its ring, it sees nothing."""
    replace(_link, "LOOK_S", LOOK_S)
    take_away(Upkeep, "look", lambda _: "sound")


def _wait_for_looks(worker: Worker, looks: int) -> None:
    """With a new ring they are counted anew; without any there are none."""
    before = worker.ask("looks")
    wait_until(lambda: not 0 <= before <= worker.ask("looks") < before + looks, what=f"{looks} looks")


def _hire_one_that_collects(site: Site) -> None:
    """A worker whose collector reads every ring that it finds."""
    worker = site.hire()
    worker.offer_all(CALLS)
    worker.flush(10.0)


CONTROLS = {
    "files.tmpfs_64m": Without("a ring's share of what is free", _make_rings_as_large_as_wanted),
    "files.inodes": Without("files left for the collector", _take_the_last_inode),
    "files.read_only": Without("a second directory", _know_one_directory),
    "files.refused": Without("the look at owner and mode", _accept_a_directory_of_all),
    "files.removed": Without("a look at the file", _lose_a_removed_ring),
    "files.truncated": Without("a look at its size", _write_where_nothing_is),
    "files.overwritten": Without("a look at its header", _write_what_nobody_reads),
}
"""By row."""
