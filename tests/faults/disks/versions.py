"""A clock that jumps, rings of other layouts, workers and spools of other versions."""

from __future__ import annotations

import os
import secrets
import signal
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Optional

from recost import _link
from recost.paths import runtime_dir
from recost.ring.layout import MAJOR, MINOR
from recost_collector import process
from recost_collector.spool import SPOOL_FILE
from tests.faults.disks.damage import set_word
from tests.faults.disks.orphans import AFTER, BEFORE, CALLS, FRAMES, check_once, execute, leave_frames_behind
from tests.faults.disks.sites import Site, wait_for_leader
from tests.faults.disks.told import Worker
from tests.faults.disks.tries import side_by_side
from tests.faults.disks.unguarded_spools import CONTROLS
from tests.faults.offering import Ledger
from tests.faults.row import Row, Trial
from tests.harness import start_child, wait_for_child, wait_until

LAYOUT = 2
"""Word of a ring's header."""
DAY_NS = 86_400 * 10**9


def run_clock(trial: Trial) -> None:
    """The clock of the collector or of a worker is set a day forward or back while a window is open."""
    tries = [partial(_shift_clocks, of_collector) for of_collector in (True, False)]
    side_by_side(trial, tries * trial.size(1, 10), control=CONTROLS["spool.clock"])


def run_layouts(trial: Trial) -> None:
    """Rings of a newer minor, and of other majors, in one directory."""
    trial.check(runtime_dir({}).endswith((f"-v{MAJOR}", f"-v{MAJOR}-{_boot()}")), f"{runtime_dir({})} names no layout")
    side_by_side(trial, [_mix_layouts] * trial.size(1, 5), control=CONTROLS["spool.layouts"])


def run_versions(trial: Trial) -> None:
    """Workers of three versions, and a spool that a newer one has written."""
    tries = [_mix_versions, _find_a_newer_spool] * trial.size(1, 5)
    side_by_side(trial, tries, control=CONTROLS["spool.versions"])


def _shift_clocks(of_collector: bool, trial: Trial) -> None:
    with Site(trial) as site:
        shift = Ledger(site.place.home / "shift", 2)
        collector = start_child(partial(_lead_with_clock, str(site.place.runtime), shift if of_collector else None))
        try:
            wait_for_leader(str(site.place.runtime))
            become = (lambda: None) if of_collector else partial(_shift_clock, shift)
            worker = site.hire(become, collector="external")
            for _ in range(trial.size(12, 40)):
                days = trial.random.choice((-1, 0, 0, 1))
                shift.counts[0], shift.counts[1] = max(0, days), max(0, -days)
                worker.offer_all(trial.random.randrange(1, 40))
                if trial.random.random() < 0.5:
                    trial.check(worker.flush(), "a flush was not answered after the clock was set")
            shift.counts[0] = shift.counts[1] = 0
            site.wait_for_calls(site.ledger.total)
            worker.leave()
        finally:
            os.kill(collector, signal.SIGTERM)
            trial.check(wait_for_child(collector) == 0, "the collector ended on a fault")
        site.settle()
        for window in site.windows():
            _check_times(trial, window)


def _mix_layouts(trial: Trial) -> None:
    with Site(trial) as site:
        dead = site.hire(collector="external")
        dead.offer_all(50, BEFORE)
        newer = dead.ring
        template = newer.read_bytes()
        dead.kill()
        set_word(LAYOUT, MAJOR << 32 | MINOR + 9, newer)
        others = []
        for major in (MAJOR - 1, MAJOR + 1):
            path = site.place.runtime / f"ring-{secrets.token_hex(16)}"
            path.write_bytes(template)
            set_word(LAYOUT, major << 32, path)
            others.append(path)
        worker = site.hire()
        worker.offer_all(50, AFTER)
        site.wait_for_calls(100)
        status = site.status()
        trial.check(not status.found["refused"], f"rings of other layouts count as garbage: {status.found['refused']}")
        named = set(status.found["other_layouts"])
        trial.check(named == {path.name for path in others}, f"status names {named}")
        site.settle()
        trial.check(all(path.exists() for path in others), "a ring of another layout was removed")
        trial.check(not newer.exists(), "the ring of a newer minor stays")


def _mix_versions(trial: Trial) -> None:
    with Site(trial) as site:
        directory = site.runtimes[0]
        older = site.hire(partial(setattr, _link, "__version__", "0.0.1"))
        older.offer_all(100)
        first = wait_for_leader(directory)
        ours = site.hire()
        _all_offer([older, ours], 100)
        trial.check(wait_for_leader(directory) == first, "a worker of the same version replaced the collector")
        newer = site.hire(partial(setattr, _link, "__version__", "99.0.0"))
        newer.offer_all(100)
        second = wait_for_leader(directory, other_than=first)
        for _ in range(trial.size(2, 10)):
            _all_offer([older, ours, newer], 100)
            _wait_for_looks([older, ours, newer])
        trial.check(wait_for_leader(directory) == second, "the collectors of two versions replace each other in turn")
        site.settle()


def _find_a_newer_spool(trial: Trial) -> None:
    """Of a newer version, which was here and comes back: nothing of it is touched meanwhile."""
    with Site(trial) as site:
        orphan = leave_frames_behind(site)
        execute(orphan, "UPDATE meta SET value = value + 1 WHERE name = 'schema'")
        before = (orphan / SPOOL_FILE).read_bytes()
        worker = site.hire()
        worker.offer_all(40, AFTER)
        worker.must_hear("a newer recost has written it")
        site.wait_for_calls(site.ledger.total - FRAMES * CALLS)
        site.leave()
        trial.check((orphan / SPOOL_FILE).read_bytes() == before, "a newer version's spool was changed")
        execute(orphan, "UPDATE meta SET value = value - 1 WHERE name = 'schema'")
        site.hire().offer_all(40, AFTER)
        site.settle()
        check_once(site)


def _lead_with_clock(directory: str, shift: Optional[Ledger]) -> None:
    if shift is not None:
        _shift_clock(shift)
    process.run(directory, "run", patience_s=2.0)


def _shift_clock(shift: Ledger) -> None:
    """From here on this process's clock is so many days fast (slot 0) or slow (slot 1)."""
    wall_ns = time.time_ns

    def shifted_ns() -> int:
        return wall_ns() + (shift.counts[0] - shift.counts[1]) * DAY_NS

    time.time_ns = shifted_ns
    time.time = lambda: shifted_ns() / 1e9


def _check_times(trial: Trial, window: dict[str, Any]) -> None:
    start, end = (datetime.fromisoformat(window[name].replace("Z", "+00:00")) for name in ("windowStart", "windowEnd"))
    sane = timedelta(0) <= end - start <= timedelta(days=2, minutes=2)
    trial.check(sane, f"a window from {window['windowStart']} to {window['windowEnd']}")
    latencies = [metric["totalLatencyMs"] for metric in window["metrics"]]
    trial.check(min(latencies) > 0, f"latencies of {latencies} ms")


def _all_offer(workers: list[Worker], count: int) -> None:
    for worker in workers:
        worker.tell("offer_all", count, AFTER)
    for worker in workers:
        worker.answer()


def _wait_for_looks(workers: list[Worker]) -> None:
    seen = [worker.ask("looks") for worker in workers]
    for worker, looks in zip(workers, seen):
        wait_until(lambda worker=worker, looks=looks: worker.ask("looks") > looks, what="a look of the watcher")


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:8]


ROWS = [
    Row("spool.clock", "with the clock a day off and back windows stay sane, calls exact", run_clock),
    Row("spool.layouts", "a ring of a newer minor is read, one of another major left alone", run_layouts),
    Row("spool.versions", "a newer worker's collector takes over; a newer version's spool waits for it", run_versions),
]
