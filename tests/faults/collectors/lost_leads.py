"""Collectors that have lost the lead, or share it, and do not know: one commits, and totals are exact."""

from __future__ import annotations

import os
import signal
import time
from typing import Callable

from recost.leader import LEADER_LOCK, WAKE, Leader
from tests.faults import led
from tests.faults.aside import Aside, Without, in_turn, p50_p99, side_by_side
from tests.faults.row import Trial
from tests.faults.steady import (
    AT_ONCE,
    LEADS,
    LEAVES,
    TAKEOVER_S,
    Crew,
    at_work,
    check_total,
    leader_at_any_moment,
    start_collector,
    wait_for_successor,
)
from tests.harness import wait_for_child, wait_until
from tests.processes.support import Mail, delivered, log_lines, wait_for_leader

END_S = 20.0
"""What a collector that has lost the lead, or its workers, has to leave."""


def lock_deleted(trial: Trial) -> None:
    """While it works, while it is amid a long turn, and while it is stopped anywhere in one."""
    kinds = [_delete_lock, _delete_lock_of_a_busy_one, _delete_lock_of_a_stopped_one]
    control = Without("ending it", in_turn([_go_on_beside_a_stopped_one], trial.size(1, 5)))
    found = side_by_side(trial, in_turn(kinds, trial.size(5, 30)), AT_ONCE, control)
    trial.figure(f"takeover {p50_p99(found)}")


def two_leaders(trial: Trial) -> None:
    """By force, on one spool."""
    control = Without("the epoch check", in_turn([_lead_twice_without_epoch], trial.size(2, 10)))
    side_by_side(trial, in_turn([_lead_twice], trial.size(5, 30)), AT_ONCE, control)


def _delete_lock(aside: Aside) -> None:
    with at_work() as crew:
        first = leader_at_any_moment(aside, crew)
        since = time.time()
        _delete_lock_and_start_another(aside)
        wait_for_successor(aside, first, since)
        wait_until(lambda: not first.is_alive(), 10, "the first to leave")
        aside.check((aside.place.runtime / WAKE).exists(), "the first has taken its successor's pipe along")
        crew.wait_for_calls(100)
    check_total(aside, crew)
    aside.check(len(log_lines(LEADS)) == 2, f"more than two have led: {log_lines(LEADS)}")
    aside.check(f" {first.pid} {LEAVES}" in "".join(log_lines(LEAVES)), f"{first.pid} did not leave for its successor")


def _delete_lock_of_a_busy_one(aside: Aside) -> None:
    """It is amid a turn, which it finishes when its successor waits for it."""
    moment, number = led.choose(aside.random, led.ANY)
    pipe = aside.place.runtime / WAKE
    with Mail() as busy, Mail() as go_on:
        victim = led.start(lambda: led.once(moment, number, lambda: (busy.put(), go_on.wait())))
        first = wait_for_leader()
        crew = Crew()
        busy.wait()
        inode = pipe.stat().st_ino
        _delete_lock_and_start_another(aside)
        wait_until(lambda: pipe.exists() and pipe.stat().st_ino != inode, 20, "its successor")
        go_on.put()
        code = wait_for_child(victim)
    second = wait_for_leader(other_than=first, timeout_s=TAKEOVER_S)
    _check_goes_on(aside, first, second, f"{moment.method}, and ended with {code}")
    aside.check(code == 0, f"busy in {moment.method}, it ended with {code}")
    aside.check(pipe.exists(), "the first has taken its successor's pipe along")
    crew.wait_for_calls(100)
    crew.leave()
    check_total(aside, crew)


def _delete_lock_of_a_stopped_one(aside: Aside) -> None:
    """It cannot see that its lock is gone, and goes on when another one leads."""
    moment, number = led.choose(aside.random, led.ANY)
    victim = led.start(lambda: led.once(moment, number, led.stop_itself))
    first = wait_for_leader()
    crew = Crew()
    wait_until(lambda: led.is_stopped(victim), 20, "the first to stop itself")
    _delete_lock_and_start_another(aside)
    second = wait_for_leader(other_than=first, timeout_s=TAKEOVER_S)
    _check_goes_on(aside, first, second, moment.method)
    os.kill(victim, signal.SIGCONT)
    code = wait_for_child(victim, END_S)
    aside.check(code in (0, -signal.SIGKILL), f"stopped in {moment.method}, it ended with {code}")
    crew.wait_for_calls(100)
    crew.leave()
    check_total(aside, crew)


def _go_on_beside_a_stopped_one(aside: Aside) -> None:
    """The control: its successor lets it be, and works on a spool of its own."""
    victim = led.start(lambda: led.once(led.BEFORE_HEADS, 3, led.stop_itself, lambda _, moved: bool(moved)))
    first = wait_for_leader()
    crew = Crew(collector="external")
    wait_until(lambda: led.is_stopped(victim), 20, "the first to stop itself")
    (aside.place.runtime / LEADER_LOCK).unlink()
    before = delivered()
    successor = led.start(led.spare_the_last_leader)
    wait_for_leader(other_than=first, timeout_s=TAKEOVER_S)
    wait_until(lambda: delivered() > before, 20, "its windows")
    os.kill(victim, signal.SIGCONT)
    wait_for_child(victim)
    crew.wait_for_calls(100)
    crew.leave()
    wait_for_child(successor)
    check_total(aside, crew)


def _lead_twice(aside: Aside) -> None:
    crew, codes = _two_lead(aside, _nothing)
    aside.check(codes == [0, 0], f"the two ended with {codes}")
    aside.check(len(log_lines(LEAVES)) == 1, f"one must be fenced: {log_lines(LEAVES)}")
    check_total(aside, crew)


def _lead_twice_without_epoch(aside: Aside) -> None:
    crew, _ = _two_lead(aside, led.commit_whatever_the_epoch)
    check_total(aside, crew)


def _two_lead(aside: Aside, prepare: Callable[[], object]) -> tuple[Crew, list[int]]:
    """The first does not heed the loss of its lock, the second not the lock of the spool; how both have ended.

    The first is held between two transactions until the second leads.
    """
    moment, number = led.choose(aside.random, led.BETWEEN_TRANSACTIONS)
    with Mail() as held, Mail() as go_on:

        def be_first() -> None:
            prepare()
            led.overlook_the_lock()
            led.once(moment, number, lambda: (held.put(), go_on.wait()))

        def be_second() -> None:
            prepare()
            led.share_the_spool()

        pids = [led.start(be_first)]
        first = wait_for_leader()
        crew = Crew(collector="external")
        held.wait()
        (aside.place.runtime / LEADER_LOCK).unlink()
        pids.append(led.start(be_second))
        wait_for_leader(other_than=first, timeout_s=TAKEOVER_S)
        go_on.put()
        crew.wait_for_calls(200)
        crew.leave()
        return crew, [_end(pid) for pid in pids]


def _nothing() -> None:
    """What is taken away from a product that is to hold."""


def _end(pid: int) -> int:
    """The exit code of a collector whose workers have left."""
    try:
        return wait_for_child(pid, END_S)
    except AssertionError:
        return -signal.SIGKILL


def _delete_lock_and_start_another(aside: Aside) -> None:
    (aside.place.runtime / LEADER_LOCK).unlink()
    start_collector()


def _check_goes_on(aside: Aside, first: Leader, second: Leader, where: str) -> None:
    wanted, found = (first.epoch + 1, first.spool), (second.epoch, second.spool)
    aside.check(found == wanted, f"the first was in {where}; its successor has epoch and spool {found}, not {wanted}")
