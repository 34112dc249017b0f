"""Another program removes, truncates or overwrites the ring of a living worker, under a collector at work or none."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from recost import _link
from recost.ring.layout import PAGE, SESSION_BLOCK
from recost.ring.upkeep import Upkeep
from tests.faults.disks.damage import overwrite, set_word
from tests.faults.disks.sites import SETTLE_S, Site, kill_leader, wait_for_leader
from tests.faults.disks.told import Died, Worker
from tests.faults.disks.tries import side_by_side
from tests.faults.disks.unguarded_rings import CONTROLS
from tests.faults.row import Row, Trial
from tests.harness import wait_until

BEFORE, LAST, AFTER, LATER = "/v1/before", "/v1/last", "/v1/after", "/v1/later"
LARGEST = (1 << 64) - 1
README = Path(__file__).parents[3] / "README.md"
LOOKS = 2
"""So many silent looks, a second each, and the worker in question takes the collector for hung: no time for ten."""


class Pair(NamedTuple):
    """A worker whose ring is damaged, and one beside it."""

    bad: Worker
    good: Worker


def run_removed(trial: Trial) -> None:
    """By a cleaner, alone or with all that is beside it."""
    tries: list[Callable[[Trial], None]] = [
        partial(_remove, Path.unlink, False),
        partial(_remove, Path.unlink, True),
        partial(_remove, _remove_folder, False),
    ]
    side_by_side(trial, tries * trial.size(1, 10), control=CONTROLS["files.removed"])


def run_truncated(trial: Trial) -> None:
    """The one thing that nothing helps against, as the README says: a store between the truncation and a look."""
    trial.check("SIGBUS" in README.read_text(), "the README does not say that truncating a ring may end its worker")
    tries: list[Callable[[Trial], None]] = [
        partial(_truncate, size, is_idle)
        for size in trial.size((0, 20 * PAGE), (0, PAGE, 2 * PAGE, 20 * PAGE, 100 * PAGE))
        for is_idle in (False, True)
    ]
    tries.append(_truncate_what_is_unread)
    side_by_side(trial, tries * trial.size(1, 4), control=CONTROLS["files.truncated"])


def run_overwritten(trial: Trial) -> None:
    """With random bytes, zeros, ones; the header alone or all of it."""
    random = trial.random.randbytes
    damages: list[Callable[[Path], None]] = [
        partial(overwrite, 0, random(1 << 20)),
        partial(overwrite, 0, b"\xff" * (1 << 20)),
        partial(overwrite, 0, bytes(2 * PAGE)),
        partial(overwrite, SESSION_BLOCK, random(100)),
    ]
    headers = [partial(set_word, word, value) for word, value in ABSURD]
    damages += trial.size(trial.random.sample(headers, 1), headers)
    tries: list[Callable[[Trial], None]] = [
        partial(_overwrite, damage, killed) for damage in damages for killed in trial.size((False,), (False, True))
    ]
    tries += [
        partial(_overwrite, damages[0], True),
        _overwrite_our_words,
        partial(_spare_the_collector, damages[0]),
        _hostile_files,
    ]
    side_by_side(trial, tries, control=CONTROLS["files.overwritten"])


def _remove(remove: Callable[[Path], object], killed: bool, trial: Trial) -> None:
    with Site(trial) as site:
        pair = _begin(site)
        if killed:
            kill_leader(site.runtimes[0])
        pair.bad.offer(50, LAST)
        remove(pair.bad.ring)
        _go_on(pair)
        pair.bad.must_hear("removed the file of this process's ring; another is made, nothing is lost")
        _go_on(pair)
        site.settle()


def _truncate(size: int, is_idle: bool, trial: Trial) -> None:
    with Site(trial) as site:
        pair = _begin(site)
        leader = wait_for_leader(site.runtimes[0])
        os.truncate(pair.bad.ring, size)
        if is_idle:
            pair.bad.must_hear("another program truncated the ring of this process; another is made")
        for _ in range(2):
            pair.good.offer_all(100, AFTER)
            _offer_or_die(pair.bad)
        if pair.bad.has_ended:
            code = pair.bad.end()
            trial.check(code == -signal.SIGBUS and not is_idle, f"its worker ended with {code}, idle: {is_idle}")
        site.wait_for_calls(site.ledger.total)
        _check_takeovers(site, leader)
        site.leave()
        found = site.endpoints()
        trial.check(found[BEFORE] == 200, f"{found[BEFORE]} of 200 calls from before arrived")
        trial.check(found[AFTER] == 200, f"{found[AFTER]} of 200 calls of the other worker arrived")
        trial.check(not is_idle or found[LATER] == 200, f"{found[LATER]} of 200 calls in the new ring arrived")
        trial.check(sum(found.values()) <= site.ledger.total, f"{site.ledger.total} acknowledged, {found} arrived")


def _truncate_what_is_unread(trial: Trial) -> None:
    """No collector leads, and each that comes would read what is not there any more."""
    with Site(trial) as site:
        pair = _begin(site)
        kill_leader(site.runtimes[0])
        pair.bad.offer_all(1000, LAST)
        os.truncate(pair.bad.ring, 5 * PAGE)
        for _ in range(3):
            pair.good.offer_all(100, AFTER)
            wait_until(lambda: pair.good.flush(1.0), SETTLE_S, "a collector that stays")
        _check_takeovers(site, 0)
        pair.bad.kill()
        site.leave()
        trial.check(site.endpoints()[AFTER] == 300, f"{site.endpoints()} arrived, want 300 of the other worker")


def _overwrite(damage: Callable[[Path], None], killed: bool, trial: Trial) -> None:
    with Site(trial) as site:
        pair = _begin(site)
        if killed:
            kill_leader(site.runtimes[0])
        pair.bad.offer(50, LAST)
        damage(pair.bad.ring)
        refused = 100 - pair.bad.offer(100, AFTER)
        pair.good.offer_all(100, AFTER)
        pair.bad.must_hear("another program wrote into the ring of this process; another is made")
        for worker in pair:
            worker.offer_all(100, LATER)
        site.wait_for_calls(site.ledger.total - 250)
        lost = site.status().lost
        site.leave()
        found = site.arrived()
        made = site.ledger.total + refused
        trial.check(found <= site.ledger.total, f"{site.ledger.total} acknowledged, {found} arrived")
        trial.check(found + lost >= made, f"{made} made, {found} arrived and {lost} are counted as lost")
        trial.check(site.endpoints()[LATER] == 200, f"{site.endpoints()} arrived, want all of the 200 from afterwards")


def _overwrite_our_words(trial: Trial) -> None:
    """What the collector writes it writes anew every turn: at most its next turn is waited for."""
    with Site(trial) as site:
        pair = _begin(site)
        ring = pair.bad.ring
        for _ in range(trial.size(3, 20)):
            overwrite(PAGE, trial.random.randbytes(PAGE), ring)
            pair.bad.offer(100, AFTER)
            pair.good.offer_all(100, AFTER)
        pair.bad.offer_all(100, LATER)
        trial.check(pair.bad.ring == ring, "a ring was given up although the collector puts it right")
        site.settle()


def _spare_the_collector(damage: Callable[[Path], None], trial: Trial) -> None:
    """A worker that does not notice, and whose ring is not read, takes nobody for hung who turns."""
    with Site(trial) as site:
        pair = _begin(site, _notice_nothing)
        killed = kill_leader(site.runtimes[0])
        damage(pair.bad.ring)
        leader = wait_for_leader(site.runtimes[0], other_than=killed)
        for _ in range(LOOKS + 2):
            _wait_for_a_look(pair.bad)
            pair.good.offer_all(10, LATER)
        pair.bad.must_hear("a collector runs but does not read the ring of this process")
        now = wait_for_leader(site.runtimes[0])
        trial.check(now == leader, "a healthy collector was killed by a worker whose ring was overwritten")


def _hostile_files(trial: Trial) -> None:
    """What looks like rings beside a healthy one: skipped, told, left alone."""
    with Site(trial) as site:
        worker = site.hire()
        worker.offer_all(100)
        template = worker.ring.read_bytes()
        hostile = []
        for number, (word, value) in enumerate(ABSURD):
            path = site.place.runtime / f"ring-{number:032x}"
            path.write_bytes(template)
            set_word(word, value, path)
            hostile.append(path)
        worker.offer_all(100)
        site.wait_for_calls(200)
        leader = wait_for_leader(site.runtimes[0])
        worker.flush()
        trial.check(wait_for_leader(site.runtimes[0]) == leader, "a hostile file ended the collector")
        status = site.status()
        missing = [path.name for path in hostile if path.name not in status.text]
        trial.check(not missing, f"status says nothing of {missing}")
        site.settle()
        trial.check(all(path.exists() for path in hostile), "a file that is no ring of ours was removed")


ABSURD = (
    (1, 1),  # byte order
    (3, 0),  # capacity
    (3, LARGEST),
    (3, 12345),
    (4, 0),  # offset of the data
    (4, LARGEST),
    (5, LARGEST),  # length of the session block
    (5, 1 << 40),
    (6, 0),  # its checksum
)
"""(word of the header, value): each with a checksum that says that it was meant."""


def _begin(site: Site, become: Callable[[], object] = lambda: None) -> Pair:
    """Two workers and a collector, and all is well."""
    pair = Pair(site.hire(become), site.hire())
    for worker in pair:
        worker.offer_all(100, BEFORE)
    site.wait_for_calls(200)
    wait_for_leader(site.runtimes[0])
    return pair


def _go_on(pair: Pair) -> None:
    for worker in pair:
        worker.offer_all(100, AFTER)


def _offer_or_die(worker: Worker) -> None:
    if not worker.has_ended:
        try:
            worker.offer(100, LATER)
        except Died:
            return


def _check_takeovers(site: Site, first: int) -> None:
    """The collector may have met the truncated file once; the next one must not."""
    log = site.place.state / "collector.log"
    leaders = [line for line in log.read_text().splitlines() if " leads: " in line]
    site.trial.check(len(leaders) <= 2, f"{len(leaders)} collectors led in turn, the first was {first}: a crash loop")


def _notice_nothing() -> None:
    Upkeep.look = lambda _: "sound"  # type: ignore[method-assign,assignment]
    _link.SILENT_LOOKS = LOOKS


def _wait_for_a_look(worker: Worker) -> None:
    looks = worker.ask("looks")
    wait_until(lambda: worker.ask("looks") > looks, what="a look of the watcher")


def _remove_folder(ring: Path) -> None:
    shutil.rmtree(ring.parent)


ROWS = [
    Row("files.removed", "a ring that somebody removed is made again, and nothing in it is lost", run_removed),
    Row(
        "files.truncated",
        "a truncated ring may end its worker (documented), nobody else, and no collector twice",
        run_truncated,
    ),
    Row(
        "files.overwritten",
        "an overwritten ring is replaced, its calls counted as lost; no healthy collector dies",
        run_overwritten,
    ),
]
