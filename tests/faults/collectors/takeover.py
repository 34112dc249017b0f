"""A collector that is stopped, hung, robbed of its lock file, or not the only one: it is replaced, totals are exact.

In each try workers are at work, whose calls go to a local file; in the end as many are there as were acknowledged.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

import msgspec

from recost import _link
from recost._link import LOOK_S, SILENT_LOOKS, Link
from recost.leader import write_leader
from recost.ring.files import open_ring
from recost.ring.layout import DROPPED_FULL, MIN_CAPACITY
from recost_collector import process
from tests.faults import led
from tests.faults.aside import Aside, Without, in_turn, p50_p99, side_by_side
from tests.faults.collectors.lost_leads import lock_deleted, two_leaders
from tests.faults.replacing import replace
from tests.faults.row import Row, Trial
from tests.faults.steady import AT_ONCE, LEADS, Crew, at_work, check_total, leader_at_any_moment, wait_for_successor
from tests.harness import wait_for_child, wait_until
from tests.processes.support import Mail, collectors, log_lines, rings, wait_for_leader, wait_until_idle


def stopped(trial: Trial) -> None:
    """Anywhere, by SIGSTOP."""
    kinds = [_stop, _stop, _stop_and_continue, _stop_and_continue, _stop_one_that_nobody_may_kill]
    control = Without("the kill of a silent one", in_turn([_wait_for_a_stopped_one], trial.size(1, 3)))
    found = side_by_side(trial, in_turn(kinds, trial.size(5, 30)), AT_ONCE, control)
    trial.figure(f"takeover {p50_p99(found)}, {SILENT_LOOKS * LOOK_S:g} s of it until a silent one counts as hung")


def hung_in_c(trial: Trial) -> None:
    """In a call that does not return and keeps the GIL."""
    control = Without("the timer", in_turn([_hang_without_timer], trial.size(1, 3)))
    found = side_by_side(trial, in_turn([_hang], trial.size(5, 30)), AT_ONCE, control)
    trial.figure(f"takeover {p50_p99(found)}, {led.HANG_S:g} s of it the timer's, in production 30 s")


def _stop(aside: Aside) -> None:
    with at_work() as crew:
        first = leader_at_any_moment(aside, crew)
        os.kill(first.pid, signal.SIGSTOP)
        second = wait_for_successor(aside, first, time.time())
        aside.check(second.epoch == first.epoch + 1, f"epoch {second.epoch} came after {first.epoch}")
        wait_until(lambda: not first.is_alive(), 5, "the stopped one to be gone")
        crew.wait_for_calls(100)
    check_total(aside, crew)


def _wait_for_a_stopped_one(aside: Aside) -> None:
    """The control: its workers look ten times as often, and leave it alone."""
    replace(_link, "LOOK_S", LOOK_S / 10)
    replace(Link, "_kill_if_hung", lambda *_, **__: False)
    with at_work() as crew:
        first = leader_at_any_moment(aside, crew)
        os.kill(first.pid, signal.SIGSTOP)
        crew.wait_for_looks(2 * SILENT_LOOKS)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not first.is_alive(), 2)
        aside.check(not first.is_alive(), f"after {2 * SILENT_LOOKS} looks nobody has taken a stopped one's place")
        if first.is_alive():
            os.kill(first.pid, signal.SIGCONT)
    wait_until_idle()


def _stop_and_continue(aside: Aside) -> None:
    """It goes on just before it would be ended, or just after."""
    with at_work() as crew:
        first = leader_at_any_moment(aside, crew)
        os.kill(first.pid, signal.SIGSTOP)
        crew.wait_for_looks(SILENT_LOOKS - aside.random.randrange(3))
        crew.wait_for_calls(aside.random.randrange(1, 400))
        if first.is_alive():
            os.kill(first.pid, signal.SIGCONT)
        crew.wait_for_looks(2)
        wait_for_leader()
        crew.wait_for_calls(100)
    check_total(aside, crew)


def _stop_one_that_nobody_may_kill(aside: Aside) -> None:
    """As if its number belonged to another process: the rings fill, and count what they refuse, until it goes on."""
    runtime = str(aside.place.runtime)
    with at_work(ring_bytes=MIN_CAPACITY) as crew:
        first = leader_at_any_moment(aside, crew)
        write_leader(runtime, msgspec.structs.replace(first, process_start=first.process_start + 1))
        os.kill(first.pid, signal.SIGSTOP)
        crew.wait_for_looks(SILENT_LOOKS + 3)
        wait_until(lambda: crew.refused, 20, "the rings to be full")
        aside.check(first.is_alive(), "it was ended")
        aside.check(len(collectors()) == 1, f"another one was started: {collectors()}")
    counted = sum(open_ring(str(ring)).words[DROPPED_FULL] for ring in rings())
    aside.check(counted == crew.refused, f"the rings refused {crew.refused:,} calls and counted {counted:,}")
    write_leader(runtime, first)
    os.kill(first.pid, signal.SIGCONT)
    check_total(aside, crew)
    aside.check(len(log_lines(LEADS)) == 1, f"another one has led: {log_lines(LEADS)}")


def _hang(aside: Aside) -> None:
    moment, number = led.choose(aside.random, led.ANY)
    hang = aside.random.choice(led.HANGS)
    with Mail() as hangs:
        victim = led.start(
            lambda: led.once(moment, number, lambda: (hangs.put(repr(time.time()).encode()), hang())), led.HANG_S
        )
        first = wait_for_leader()
        with at_work() as crew:
            wait_for_successor(aside, first, float(hangs.take()))
            crew.wait_for_calls(100)
    code = wait_for_child(victim)
    aside.check(code == -signal.SIGALRM, f"hung in {moment.method}, it ended with {code}")
    check_total(aside, crew)


def _hang_without_timer(aside: Aside) -> None:
    """The control: nothing ends it, until a worker would take it for hung."""
    moment, number = led.choose(aside.random, led.ANY)
    with Mail() as hangs:

        def hang_without_timer() -> None:
            replace(process, "_rearm", lambda: None)
            led.once(moment, number, lambda: (hangs.put(), led.pause_with_the_gil()))

        victim = led.start(hang_without_timer, led.HANG_S)
        wait_for_leader()
        crew = Crew(collector="external")
        hangs.wait()
        try:
            wait_for_child(victim, 2 * led.HANG_S)
        except AssertionError:  # it is killed now
            aside.check(None, f"hung in {moment.method}, it still led after {2 * led.HANG_S:g} s")
        crew.leave()


ROWS = [
    Row("takeover.stopped", "a stopped collector is replaced, unless nobody may end it; exact totals", stopped),
    Row(
        "takeover.hung-in-c",
        "one hung in C with the GIL held is ended by its timer and replaced; exact totals",
        hung_in_c,
    ),
    Row("takeover.lock-deleted", "one whose lock file is deleted leaves or is ended; exact totals", lock_deleted),
    Row("takeover.two-leaders", "of two that lead on one spool the epoch fences one; exact totals", two_leaders),
]
