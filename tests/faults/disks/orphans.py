"""What others have left: spools whose runtime directory is gone, rings of an earlier boot."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Optional
from unittest import mock

from recost_collector import adoption, drain, leading
from recost_collector.spool import SPOOL_FILE, Spool
from tests.faults.disks.damage import set_word
from tests.faults.disks.sites import Site, kill_leader, wait_for_leader
from tests.faults.disks.tries import Without, apart, side_by_side
from tests.faults.replacing import take_away
from tests.faults.row import Row, Trial
from tests.harness import start_child, wait_for_child

BEFORE, WAITING, UNREAD, AFTER = "/v1/before", "/v1/waiting", "/v1/unread", "/v1/after"
BOOT_ID = 9
"""Word of a ring's header."""
FRAMES = 5
CALLS = 20
"""In each of them."""


def run_orphaned(trial: Trial) -> None:
    """A runtime directory that is gone; and leaders that are killed at each commit of an adoption."""
    commits = trial.size([1, 2], [*range(1, 10)])
    tries: list[Callable[[Trial], None]] = [
        _lose_the_runtime_directory,
        _adopt_what_cannot_be_deleted,
        *(partial(_kill_in_adoption, number, True) for number in commits),
    ]
    side_by_side(trial, [_adopt_without_keys, *tries * trial.size(1, 3)])


def run_other_boot(trial: Trial) -> None:
    """The runtime directory is on a disk, and the machine was started anew."""
    control = Without("a look at the boot id", partial(_boot_anew, prepare=_take_any_boot_for_ours))
    side_by_side(trial, [_boot_anew] * trial.size(1, 10), control=control)


def _lose_the_runtime_directory(trial: Trial) -> None:
    with Site(trial) as site:
        orphan = leave_frames_behind(site)
        shutil.rmtree(site.place.runtime)
        site.hire().offer_all(20, AFTER)
        site.settle()
        trial.check(not orphan.exists(), f"the orphaned spool stays: {orphan}")
        check_once(site)


def _adopt_what_cannot_be_deleted(trial: Trial) -> None:
    """A disk that takes no more deletes than writes: the next look would adopt the same frames."""
    with Site(trial) as site:
        orphan = leave_frames_behind(site)
        shutil.rmtree(site.place.runtime)
        execute(orphan, "CREATE TRIGGER full BEFORE DELETE ON frames BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        for _ in range(2):
            worker = site.hire()
            worker.offer_all(20, AFTER)
            site.leave()
            trial.check(orphan.exists(), "an orphan went that still had its frames")
        execute(orphan, "DROP TRIGGER full")
        site.hire().offer_all(20, AFTER)
        site.settle()
        check_once(site)


def _kill_in_adoption(number: int, keep_keys: bool, trial: Trial) -> None:
    """The leader that adopts is killed at its commit of that number, in either of the two spools."""
    with Site(trial) as site:
        leave_frames_behind(site)
        shutil.rmtree(site.place.runtime)
        site.place.runtime.mkdir(mode=0o700)
        code = wait_for_child(start_child(partial(_lead_and_be_killed, str(site.place.runtime), number, keep_keys)))
        trial.check(code == -signal.SIGKILL, f"the adopting leader ended with {code}")
        site.hire().offer_all(20, AFTER)
        site.settle()
        check_once(site)


def _adopt_without_keys(trial: Trial) -> None:
    """The control: with a new key at each try a frame that is in both spools is adopted twice."""
    tried = trial.size(1, 5)
    control = apart(trial, "control")
    wrong = 0
    for _ in range(tried):
        _kill_in_adoption(1, False, control)
        wrong += bool(control.verdict.violations)
        control.verdict.violations.clear()
    trial.controlled("the key that stays with a frame", wrong, tried)


def _boot_anew(trial: Trial, prepare: Optional[Callable[[], object]] = None) -> None:
    """What was committed last is forgotten, as after a power cut."""
    with Site(trial) as site:
        worker = site.hire()
        worker.offer_all(100, BEFORE)
        site.wait_for_calls(100)
        site.block_delivery()
        worker.offer_all(60, WAITING)
        worker.flush()
        kill_leader(site.runtimes[0])
        unread = worker.offer(30, UNREAD)
        ring = worker.ring
        worker.kill()
        set_word(BOOT_ID, trial.random.getrandbits(60), ring)
        execute(site.spool, "UPDATE meta SET value = 'another boot' WHERE name = 'boot_id'")
        execute(site.spool, "UPDATE cursors SET position = 0, sequence = 0")
        site.unblock_delivery()
        if prepare is not None:
            site.lead(prepare)
        site.hire().offer_all(40, AFTER)
        site.wait_for_calls(200)
        status = site.status()
        site.leave()
        found = site.endpoints()
        trial.check(found == {BEFORE: 100, WAITING: 60, AFTER: 40}, f"{found} arrived")
        discarded = status.total("discarded_rings")
        trial.check(
            discarded == 1 and not ring.exists(), f"{discarded} rings are counted as discarded, with {unread} calls"
        )
        rows = execute(site.spool, "SELECT count(*) FROM cursors")
        trial.check(rows == 0, f"{rows} cursors are left of rings that are gone")


def _take_any_boot_for_ours() -> None:
    take_away(drain, "boot_id", lambda: mock.ANY)


def leave_frames_behind(site: Site) -> Path:
    """Windows that wait in a spool, and nobody who works there. Gives its directory."""
    worker = site.hire()
    worker.offer_all(50, BEFORE)
    site.wait_for_calls(50)
    site.block_delivery()
    for _ in range(FRAMES):
        worker.offer_all(CALLS, WAITING)
        worker.flush()
    worker.kill()
    leader = wait_for_leader(site.runtimes[0])
    os.kill(leader, signal.SIGUSR1)
    site.wait_until_idle()
    site.unblock_delivery()
    return site.spool


def check_once(site: Site) -> None:
    lines = [str(window) for window in site.windows()]
    site.trial.check(len(lines) == len(set(lines)), "a window arrived twice")


def _lead_and_be_killed(runtime: str, number: int, keep_keys: bool) -> None:
    """In a process of its own: lead, adopt, and be killed before the commit of that number."""
    commit, move = Spool.commit, vars(adoption)["_move"]
    done = 0

    def commit_or_die(spool: Spool, changes: Any) -> None:
        nonlocal done
        done += 1
        if done > number:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(spool, changes)

    def move_with_new_keys(step: Any, *others: Any) -> Any:
        for frame in step:
            frame.key = secrets.token_hex(16)
        return move(step, *others)

    Spool.commit = commit_or_die  # type: ignore[method-assign,assignment]
    vars(adoption)["STEP"] = 2
    if not keep_keys:
        vars(adoption)["_move"] = move_with_new_keys
    leading.lead(runtime, "thread", 1.0)
    os.kill(os.getpid(), signal.SIGKILL)


def execute(directory: Path, statement: str) -> Any:
    """The first value of the first row, if there is one."""
    with contextlib.closing(sqlite3.connect(directory / SPOOL_FILE)) as db, db:
        row = db.execute(statement).fetchone()
    return row[0] if row else None


ROWS = [
    Row("spool.orphaned", "what a vanished runtime directory left is adopted; each window arrives once", run_orphaned),
    Row("spool.other_boot", "rings of an earlier boot are discarded and counted, windows delivered", run_other_boot),
]
