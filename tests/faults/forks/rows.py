"""Forks at the worst moments: a child counts for itself, and leaves its parent's ring, locks and threads alone."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable

import recost
from recost import _runtime
from recost.ring import writer as writer_file
from recost.ring.files import open_ring
from recost.ring.sentinel import Sentinel
from recost.ring.writer import Writer
from tests.faults.aside import side_by_side
from tests.faults.forks.after_dispose import after_dispose
from tests.faults.forks.callers import Caller, the_writer
from tests.faults.forks.families import AT_ONCE, DEADLINE_S, SETTINGS, Family, tries_of, without
from tests.faults.forks.forking import Fork, announced, unannounced
from tests.faults.forks.held import Held
from tests.faults.forks.of_a_fork import of_a_fork
from tests.faults.forks.while_spawning import while_spawning
from tests.faults.replacing import replace
from tests.faults.row import Row, Trial
from tests.faults.steady import start_collector
from tests.harness import wait_until
from tests.processes.support import rings

SILENT = 2
"""So many children of each parent live on after it and make no call."""
MOST_LINES = 40
"""Between two forks: more than ``offer`` has under its lock, so that each of them has its turn."""
FORKERS, RACERS = 3, 3
PAUSE_S = 0.005
CONTROL_CALLS = 50
HANG_S = 0.5
"""A child takes milliseconds; the control, which hangs for certain, need not take longer than this to show it."""


class AlwaysHome:
    """No sentinel: whoever asks is told that the ring is its own."""

    def __getitem__(self, _index: int, /) -> int:
        return 1


class AnnouncedForks:
    """A sentinel that Python's at-fork hook takes away, instead of the kernel."""

    def __init__(self) -> None:
        self._is_home = 1
        os.register_at_fork(after_in_child=self._leave)

    def __getitem__(self, _index: int, /) -> int:
        return self._is_home

    def _leave(self) -> None:
        self._is_home = 0


def inside_offer(trial: Trial) -> None:
    """While another thread holds the ring's lock, at any line; and while three call as fast as they can."""
    held, amid = trial.size((40, 20), (1000, 500))
    live = functools.partial(_take_one_ring_for_two, AlwaysHome, announced)
    control = without("the fork sentinel", live, trial.size(5, 50))
    found = side_by_side(trial, [*tries_of(_inside, held), *tries_of(_amid, amid)], AT_ONCE, control)
    inside = sum(one.seen for one in found)
    trial.figure(f"another thread was inside at {inside:,} of {held + amid:,} forks")


def libc(trial: Trial) -> None:
    """The fork() of C, which no hook announces, while another thread holds the ring's lock."""
    live = functools.partial(_take_one_ring_for_two, AnnouncedForks, unannounced)
    control = without("the kernel's wiping of the sentinel", live, trial.size(5, 50))
    side_by_side(trial, tries_of(_inside_unannounced, trial.size(30, 800)), AT_ONCE, control)


def in_a_thread(trial: Trial) -> None:
    """Threads fork side by side while others call; the threads of a child race for its first call."""
    control = without("the look at the sentinel before the lock", _lock_first, trial.size(2, 10))
    side_by_side(trial, tries_of(_in_threads, trial.size(30, 800)), AT_ONCE, control)


def _inside(family: Family, forks: int) -> None:
    family.live(lambda: _fork_while_one_is_inside(family, forks, announced))
    family.check_rings()
    family.collect()
    family.bury()


def _inside_unannounced(family: Family, forks: int) -> None:
    family.live(lambda: _fork_while_one_is_inside(family, forks, unannounced))
    family.check_rings()
    _check_late_reaping(family)
    family.bury()


def _amid(family: Family, forks: int) -> None:
    family.live(lambda: _fork_amid_calls(family, forks))
    family.collect()
    family.bury()


def _in_threads(family: Family, forks: int) -> None:
    family.live(lambda: _fork_in_threads(family, forks))
    family.check_rings()
    family.collect()
    family.bury()


def _fork_while_one_is_inside(family: Family, forks: int, fork: Fork) -> None:
    recost.init(**SETTINGS)
    caller = family.caller()
    caller.call()
    writer = the_writer()
    enough = threading.Event()
    steps = [family.random.randint(1, MOST_LINES) for _ in range(forks)]
    held = Held({writer_file.__file__}, steps, counts=writer._lock._is_owned)
    held.run(lambda: _call_until(enough, caller))
    for number, _ in enumerate(held.stops, 1):
        if number > forks - SILENT:
            family.fork_silent(fork)
        else:
            family.fork(fork, lambda child: (_look_who_is_inside(family, writer), child.call()))
        if number == forks:
            enough.set()
    family.report.seen = family.notes.total + SILENT


def _fork_amid_calls(family: Family, forks: int) -> None:
    os.environ["RECOST_FLUSH_INTERVAL_MS"] = "200"
    recost.init(**{**SETTINGS, "collector": "auto", "ring_bytes": 1 << 20})
    family.caller().call()
    writer = the_writer()
    with _calling(family, 3):
        for _ in range(forks):
            family.fork(announced, lambda child: (_look_who_is_inside(family, writer), child.call()))
    family.report.seen = family.notes.total


def _look_who_is_inside(family: Family, parents: Writer) -> None:
    """Note whether another thread of the parent held the lock at the fork."""
    if not parents._lock.acquire(blocking=False):
        family.notes.add(0)


def _fork_in_threads(family: Family, forks: int) -> None:
    recost.init(**{**SETTINGS, "ring_bytes": 1 << 20})
    family.caller().call()
    left = iter(range(forks))  # shared: each fork is one thread's

    def keep_forking() -> None:
        for _ in left:
            racers = [family.descendant() for _ in range(RACERS)]
            family.fork(announced, functools.partial(_race, racers))

    with _calling(family, 2):
        _run_in_threads([keep_forking] * FORKERS)


def _race(racers: list[Caller], caller: Caller) -> None:
    """The first call of this process, by several threads at once."""
    _run_in_threads([racer.call for racer in (caller, *racers)])


def _check_late_reaping(family: Family) -> None:
    """No hook has closed the children's copies of the parent's lock: its ring stays until their first calls."""
    start_collector()
    (ring,) = [path for path in rings() if _owner(path) == family.report.pid]
    family.speak.put()
    try:
        wait_until(lambda: not ring.exists(), DEADLINE_S, "the parent's ring to go with its children's first calls")
    except AssertionError as exc:
        family.check(None, str(exc))
    family.check_alive()
    family.end.put()
    family.check_delivered()


def _take_one_ring_for_two(sentinel: Callable[[], Sentinel], fork: Fork, family: Family) -> None:
    """A parent and a child that both believe to be at home."""

    def live() -> None:
        replace(_runtime, "new_sentinel", sentinel)
        recost.init(**SETTINGS)
        caller = family.caller()
        caller.call(CONTROL_CALLS)
        family.fork(fork, lambda child: child.call(CONTROL_CALLS))
        caller.call(CONTROL_CALLS)

    family.live(live)
    family.check_rings()
    family.close()


def _lock_first(family: Family) -> None:
    """A child waits for ever for a lock that a thread of its parent held."""
    offer = Writer.offer

    def lock_and_offer(writer: Writer, payload: bytes) -> bool:
        with writer._lock:
            return offer(writer, payload)

    def live() -> None:
        replace(Writer, "offer", lock_and_offer)
        recost.init(**SETTINGS)
        caller = family.caller()
        caller.call(1)
        held = Held({writer_file.__file__}, [1], counts=the_writer()._lock._is_owned)
        held.run(lambda: caller.call(1))
        for _ in held.stops:
            family.fork(announced, Caller.call, within_s=HANG_S)

    family.live(live)
    family.close()


@contextlib.contextmanager
def _calling(family: Family, threads: int) -> Iterator[None]:
    """Threads of the parent that call as fast as they can."""
    enough = threading.Event()

    def keep_offering(caller: Caller) -> None:
        while not enough.is_set():
            if not caller.offer():
                time.sleep(PAUSE_S)  # the ring is full

    callers = [family.caller(slot) for slot in range(1, threads + 1)]
    running = _start_threads([functools.partial(keep_offering, caller) for caller in callers])
    yield
    enough.set()
    for thread in running:
        thread.join()


def _call_until(enough: threading.Event, caller: Caller) -> None:
    while not enough.is_set():
        caller.call(1)


def _start_threads(work: Sequence[Callable[[], object]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=run, daemon=True) for run in work]
    for thread in threads:
        thread.start()
    return threads


def _run_in_threads(work: Sequence[Callable[[], object]]) -> None:
    for thread in _start_threads(work):
        thread.join()


def _owner(ring: Path) -> int:
    with contextlib.closing(open_ring(str(ring))) as file:
        return file.header.pid


ROWS = [
    Row("forks.inside-offer", "a child writes into no ring of its parent and waits for no lock of it", inside_offer),
    Row("forks.libc", "the same without any hook; a dead parent's ring goes with its children's first calls", libc),
    Row("forks.of-a-fork", "each generation counts for itself, also with the pid of a dead ancestor", of_a_fork),
    Row("forks.after-dispose", "nothing that was disposed of comes back in a child", after_dispose),
    Row("forks.in-a-thread", "threads that fork and threads that race for the first call lose nothing", in_a_thread),
    Row("forks.while-spawning", "children forked amid a start keep no lock of it", while_spawning),
]
