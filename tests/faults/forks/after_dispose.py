"""Forks around ``dispose()``: what was disposed of stays so in every child, what was not goes on."""

from __future__ import annotations

import os
from typing import Callable

import recost
from recost import _recorder, _runtime
from recost import handle as handle_file
from recost._runtime import Runtime
from recost.handle import RecostHandle
from recost.ring.layout import CLOSED
from tests.faults.aside import side_by_side
from tests.faults.forks.callers import CALLS, Caller, the_runtime
from tests.faults.forks.families import AT_ONCE, SETTINGS, Family, tries_of, without
from tests.faults.forks.forking import announced, unannounced
from tests.faults.forks.held import Held
from tests.faults.replacing import replace
from tests.faults.row import Trial
from tests.harness import wait_until
from tests.processes.support import Mail, rings

LINES_OF_DISPOSE = 60
"""More than it runs."""


def after_dispose(trial: Trial) -> None:
    """Before, amid and after it, in the parent and in the child."""
    control = without("the mark of a dispose()", _dispose_without_a_mark, trial.size(2, 10))
    side_by_side(trial, tries_of(_around_dispose, trial.size(30, 700)), AT_ONCE, control)


def _around_dispose(family: Family, forks: int) -> None:
    family.live(lambda: _dispose_and_fork(family, forks))
    family.check_rings()
    family.collect()
    family.bury()


def _dispose_without_a_mark(family: Family) -> None:
    """The control: it only lets go of what there is."""

    def live() -> None:
        replace(handle_file, "_stop_capture_of", lambda _: None)
        replace(Runtime, "dispose", lambda runtime, _: runtime.recorder._detach())
        handle = recost.init(**SETTINGS)
        family.caller().call()
        _fork_after(family, handle)

    family.live(live)
    family.close()


def _dispose_and_fork(family: Family, forks: int) -> None:
    for number in range(forks):
        with recost.init(**SETTINGS) as handle:
            family.caller().call()
            KINDS[number % len(KINDS)](family, handle)
        assert not family.caller().call(), "a call was taken after dispose()"


def _fork_after(family: Family, handle: RecostHandle) -> None:
    """No child has anything of it, nor a child of that."""
    fork = family.random.choice((announced, unannounced))
    handle.dispose()
    wait_until(_is_alone, what="the watcher to end")
    before = rings()
    family.fork(fork, lambda child: (_check_dead(child, handle), family.fork(fork, lambda c: _check_dead(c, handle))))
    assert rings() == before, "a child of a process that was disposed of has made a ring"


def _fork_before(family: Family, handle: RecostHandle) -> None:
    """The child goes on after its parent was disposed of."""
    with Mail() as disposed:
        caller = family.descendant()
        pid = announced(lambda: (disposed.wait(), _check_alive(caller)))
        handle.dispose()
        disposed.put()
        family.await_end(pid)


def _dispose_in_the_child(family: Family, handle: RecostHandle) -> None:
    """The parent goes on, and the child's child has nothing of it."""

    def dispose(child: Caller) -> None:
        _check_alive(child)
        handle.dispose()
        _check_dead(child, handle)
        family.fork(announced, lambda c: _check_dead(c, handle))

    family.fork(announced, dispose)
    ring = the_runtime().ring
    assert ring is not None
    assert not ring.words[CLOSED], "the child has closed its parent's ring"
    _check_alive(family.caller())


def _fork_amid(family: Family, handle: RecostHandle) -> None:
    """At a line of it, in another thread: the child's calls are taken, all or none."""
    held = Held(
        {_runtime.__file__, _recorder.__file__, handle_file.__file__}, [family.random.randint(1, LINES_OF_DISPOSE)]
    )
    held.run(handle.dispose)
    for _ in held.stops:
        family.fork(announced, _check_all_or_none)


def _init_anew(family: Family, handle: RecostHandle) -> None:
    """A child of a process that was disposed of begins again, for itself."""
    handle.dispose()
    family.fork(announced, lambda child: (recost.init(**SETTINGS), _check_alive(child)))


KINDS: tuple[Callable[[Family, RecostHandle], None], ...] = (
    _fork_after,
    _fork_before,
    _dispose_in_the_child,
    _fork_amid,
    _init_anew,
)


def _check_alive(caller: Caller) -> None:
    assert caller.call() == CALLS


def _check_all_or_none(caller: Caller) -> None:
    assert caller.call() in (0, CALLS)


def _check_dead(caller: Caller, handle: RecostHandle) -> None:
    assert not caller.call()
    assert handle.flush_blocking(0.1)
    handle.dispose()
    assert not caller.call()
    wait_until(_is_alone, what="the threads of ours to end")


def _is_alone() -> bool:
    """Whether this is the only thread of the process."""
    return len(os.listdir("/proc/self/task")) == 1
