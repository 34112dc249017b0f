"""A spool at its bound, damaged, on a full disk, or used by two: counted, never double, and it recovers by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, Optional

from recost_collector.changes import StoredFrame
from recost_collector.lane import Lane, Verdict
from recost_collector.spool import SPOOL_FILE
from recost_collector.spool_place import LOCK_FILE
from tests.faults.disks.mounts import enter_namespace, fill, mount_tmpfs
from tests.faults.disks.sites import SETTLE_S, Site, kill_leader, wait_for_leader
from tests.faults.disks.told import Worker
from tests.faults.disks.tries import Without, side_by_side
from tests.faults.disks.unguarded_spools import CONTROLS
from tests.faults.replacing import take_away
from tests.faults.row import Row, Trial
from tests.harness import wait_until

BEFORE, WAITING, OPEN, AFTER = "/v1/before", "/v1/waiting", "/v1/open", "/v1/after"
STATE_ELSEWHERE = Path("/var/tmp")
SPOOL_BYTES = 1 << 20
BUCKETS = 400
"""Endpoints in a window, with long names: a dozen such windows are more than the smallest spool takes."""
UNTOUCHED = 60_000
"""ms: no window closes by itself."""


def run_full(trial: Trial) -> None:
    """Nothing can be delivered for longer than the spool has room."""
    control = Without("the count", partial(_fill_spool, prepare=_drop_without_counting))
    side_by_side(trial, [_fill_spool] * trial.size(1, 5), control=control)


def run_corrupted(trial: Trial) -> None:
    """Each kind of damage, between two collectors or under one."""
    damages = [
        Damage("random bytes", partial(_overwrite, SPOOL_FILE, 0)),
        Damage("a random header", partial(_overwrite, SPOOL_FILE, 0, size=100)),
        Damage("random pages", partial(_overwrite, SPOOL_FILE, 8192, size=8192)),
        Damage("cut to nothing", partial(_truncate, SPOOL_FILE, 0.0)),
        Damage("cut in half", partial(_truncate, SPOOL_FILE, 0.5)),
        Damage("a random journal", partial(_overwrite, f"{SPOOL_FILE}-wal", 0)),
        Damage("random bytes in the journal", partial(_overwrite, f"{SPOOL_FILE}-wal", 9000, size=3000)),
        Damage("an empty journal", partial(_truncate, f"{SPOOL_FILE}-wal", 0.0)),
        Damage("no journal", partial(_unlink, f"{SPOOL_FILE}-wal")),
        Damage("a random index of the journal", partial(_overwrite, f"{SPOOL_FILE}-shm", 0)),
        Damage("no spool", lambda _random, spool: shutil.rmtree(spool), in_use=(True,)),
    ]
    every = [partial(_damage, damage, in_use) for damage in damages for in_use in damage.in_use]
    chosen = trial.size([*trial.random.sample(every, 5)], every * 2)
    side_by_side(trial, [_damage_without_mark, *chosen])


def run_disk_full(trial: Trial) -> None:
    """The disk of the spool is filled by somebody else: rings count what they refuse."""
    enter_namespace(trial)
    tries: list[Callable[[Trial], None]] = [
        *(partial(_fill_disk, left, False) for left in trial.size((0,), (0, 5_000, 20_000, 60_000, 150_000))),
        partial(_fill_disk, 0, True),
    ]
    side_by_side(trial, tries * trial.size(1, 3), control=CONTROLS["spool.disk_full"])


def run_shared(trial: Trial) -> None:
    """Two runtime directories with one spool id, and its lock file deleted."""
    side_by_side(trial, [_share] * trial.size(1, 8), control=CONTROLS["spool.shared"])


class Damage(NamedTuple):
    """Something done to the directory of a spool, given a source of random bytes."""

    name: str
    do: Callable[[Callable[[int], bytes], Path], object]
    in_use: tuple[bool, ...] = (False, True)


def _fill_spool(trial: Trial, prepare: Optional[Callable[[], object]] = None) -> None:
    with Site(trial) as site:
        if prepare is not None:
            site.lead(prepare)
        worker = site.hire(
            spool_max_bytes=SPOOL_BYTES, flush_interval_ms=UNTOUCHED, max_batch_size=10_000, normalize_paths=False
        )
        worker.offer_all(1, BEFORE)
        _flush_until(site, worker, BEFORE, 1)
        site.block_delivery()
        made = trial.size(14, 40)
        for number in range(made):
            trial.check(worker.offer(BUCKETS, _long_path(number)) == BUCKETS, "a ring of 1 MiB has room for a window")
            worker.flush()
        worker.must_hear("the spool is full (spool_max_bytes), windows were dropped, the oldest first", times=None)
        status = site.status()
        dropped = sum(found["dropped"] for found in status.found["destinations"])
        size = (site.spool / SPOOL_FILE).stat().st_size
        trial.check(size < 3 * SPOOL_BYTES, f"the spool takes {size:,} bytes, its bound is {SPOOL_BYTES:,}")
        site.unblock_delivery()
        worker.offer_all(1, AFTER)
        _flush_until(site, worker, AFTER, 1)
        site.leave()
        found = site.endpoints()
        whole = [n for n in range(made) if sum(found[_long_path(n, call)] for call in range(BUCKETS)) == BUCKETS]
        trial.check(found[BEFORE] == found[AFTER] == 1, f"{found[BEFORE]} and {found[AFTER]} arrived, want 1 and 1")
        trial.check(whole == list(range(dropped, made)), f"{dropped} dropped of {made}, these arrived whole: {whole}")
        trial.check(sum(found.values()) == 2 + len(whole) * BUCKETS, "parts of dropped windows arrived")
        trial.figure(f"{dropped} of {made} windows dropped")


def _damage(damage: Damage, in_use: bool, trial: Trial) -> None:
    what = f"{damage.name}, {'in use' if in_use else 'between two collectors'}"
    with Site(trial) as site:
        worker = site.hire()
        _prepare(site, worker, checkpoint=trial.random.choice((0, 3)))
        leader = wait_for_leader(site.runtimes[0]) if in_use else kill_leader(site.runtimes[0])
        damage.do(trial.random.randbytes, site.spool)
        worker.offer_all(50, AFTER)
        site.unblock_delivery()
        if not in_use:
            wait_for_leader(site.runtimes[0], other_than=leader)
        worker.offer_all(50, AFTER)
        _flush_until(site, worker, AFTER, 100)
        lost = site.ledger.total - site.arrived()
        if lost:
            worker.must_hear("a new one is started, lost are")
        status = site.status()
        site.leave()
        found = site.endpoints()
        made = {BEFORE: 100, WAITING: 80, OPEN: 30, AFTER: 100}
        doubled = {path: found[path] for path, calls in made.items() if found[path] > calls}
        trial.check(not doubled, f"{what}: {doubled} arrived of {made}")
        trial.check(found[BEFORE] == 100 and found[AFTER] == 100, f"{what}: {found} arrived of {made}")
        counted = status.total("dropped_windows") + status.total("lost")
        trial.check(bool(lost) <= bool(counted), f"{what}: {lost} calls are gone, {counted} are counted")


def _damage_without_mark(trial: Trial) -> None:
    """The control: the spool has forgotten that windows were delivered, and nobody knows better."""
    tried, wrong = trial.size(1, 5), 0
    for _ in range(tried):
        with Site(trial) as site:
            worker = site.hire()
            _prepare(site, worker, checkpoint=0)
            kill_leader(site.runtimes[0])
            (site.spool / f"{SPOOL_FILE}-wal").unlink()
            for mark in site.place.runtime.glob("mark-*"):
                mark.unlink()
            site.unblock_delivery()
            worker.offer_all(50, AFTER)
            _flush_until(site, worker, AFTER, 50)
            site.leave()
            wrong += site.endpoints()[BEFORE] > 100
    trial.controlled("the mark in memory", wrong, tried)


def _fill_disk(left: int, restart: bool, trial: Trial) -> None:
    enter_namespace(trial)
    mount_tmpfs(STATE_ELSEWHERE, "size=64m")
    with Site(trial) as site:
        mount_tmpfs(site.place.state, "size=3m")
        workers = [site.hire(ring_bytes=1 << 16), site.hire()]
        for worker in workers:
            worker.offer_all(100, BEFORE)
        site.wait_for_calls(200)
        filler = fill(site.place.state, left)
        _use_up(workers[1])
        if restart:
            kill_leader(site.runtimes[0])
        made = 100
        accepted = sum(workers[0].offer(made, WAITING) for _ in range(20))
        if restart:
            workers[0].must_hear("the collector's state is kept in", times=None)
        refused = 20 * made - accepted
        status = site.status()
        dropped = sum(ring["dropped"] for ring in status.found["rings"])
        trial.check(dropped == refused, f"the ring refused {refused} calls and counted {dropped}")
        trial.check(status.code == 1, f"status says nothing of it: {status.text}")
        filler.unlink()
        workers[1].offer_all(20, AFTER)
        site.wait_for_calls(site.ledger.total)
        if restart:  # what the first collector left on the full disk goes out with the next start
            site.leave()
            site.hire().offer_all(20, AFTER)
        site.settle()


def _use_up(worker: Worker) -> None:
    """Until the last of the disk is taken, and said to be."""
    text = "cannot write its spool, events wait in shared memory: database or disk is full"

    def is_full() -> bool:
        worker.offer_all(20, OPEN)
        return any(text in error for error in worker.errors())

    with contextlib.suppress(AssertionError):
        wait_until(is_full, SETTLE_S)
    worker.must_hear(text)


def _share(trial: Trial) -> None:
    with Site(trial) as site:
        first = site.place.runtime
        second = first.parent / "second"
        second.mkdir(mode=0o700)
        worker = site.hire()
        worker.offer_all(100, BEFORE)
        site.wait_for_calls(100)
        shutil.copy(first / "spool-id", second)
        (site.spool / LOCK_FILE).unlink()
        other = site.hire(partial(os.environ.__setitem__, "RECOST_RUNTIME_DIR", str(second)))
        for _ in range(trial.size(5, 20)):
            other.offer_all(100, WAITING)
            worker.offer_all(100, OPEN)
            other.flush(1.0)
        wait_for_leader(str(second))
        worker.offer_all(100, AFTER)
        worker.flush(10.0)
        site.settle()
        log = (site.place.state / "collector.log").read_text()
        trial.check("has begun, ours was" in log, f"the first leader did not notice that it lost its spool: {log}")


def _prepare(site: Site, worker: Worker, checkpoint: int) -> None:
    """Delivered, waiting and open windows: up to ``checkpoint`` in the spool's file, the others in its journal."""
    for number in range(2):
        worker.offer_all(50, BEFORE)
        site.wait_for_calls(50 * (number + 1))
        if number == checkpoint:
            _checkpoint(site.spool / SPOOL_FILE)
    site.block_delivery()
    for number in range(2, 6):
        worker.offer_all(20, WAITING)
        worker.flush()
        if number == checkpoint:
            _checkpoint(site.spool / SPOOL_FILE)
    worker.offer_all(30, OPEN)
    worker.wait_until_read()


def _checkpoint(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _flush_until(site: Site, worker: Worker, path: str, calls: int) -> None:
    """A destination in trouble is tried again after a while, and at once when somebody asks."""

    def look() -> bool:
        worker.flush(1.0)
        return site.endpoints()[path] >= calls

    with contextlib.suppress(AssertionError):
        wait_until(look, SETTLE_S, "the calls from afterwards")


def _drop_without_counting() -> None:
    drop = Lane.drop

    def drop_only(lane: Lane, frame: StoredFrame) -> Verdict:
        verdict = drop(lane, frame)
        lane.state.dropped -= 1
        return verdict

    take_away(Lane, "drop", drop_only)


def _long_path(window: int, call: object = "#") -> str:
    return f"/v1/window-{window}/{'x' * 100}/{call}"


def _overwrite(name: str, at: int, random: Callable[[int], bytes], spool: Path, size: int = 0) -> None:
    path = spool / name
    with path.open("r+b") as file:
        file.seek(at)
        file.write(random(size or path.stat().st_size - at))


def _truncate(name: str, part: float, _random: Callable[[int], bytes], spool: Path) -> None:
    path = spool / name
    os.truncate(path, int(path.stat().st_size * part))


def _unlink(name: str, _random: Callable[[int], bytes], spool: Path) -> None:
    (spool / name).unlink()


ROWS = [
    Row("spool.full", "the oldest windows are dropped, whole and counted; the rest arrives later", run_full),
    Row("spool.corrupted", "a damaged spool is kept aside, told and counted; nothing arrives twice", run_corrupted),
    Row("spool.disk_full", "rings count what they refuse; all they took arrives once there is room", run_disk_full),
    Row("spool.shared", "of two collectors on one spool one goes on with it; totals are exact", run_shared),
]
