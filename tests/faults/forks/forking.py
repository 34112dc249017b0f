"""Forks that Python announces to its at-fork hooks, and forks that it does not know of."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Callable

from recost import _link, _runtime
from recost._native import new_lock
from tests.faults.replacing import replace
from tests.harness import start_child, wait_until

Work = Callable[[], object]
Fork = Callable[[Work], int]
INTERVAL_S = 60.0


def announced(work: Work) -> int:
    """``os.fork``: Python's at-fork hooks run."""
    return start_child(work)


def unannounced(work: Work) -> int:
    """The fork of C: no hook runs, as under uWSGI by default.

    With the GIL in hand, and while no thread waits for it: else Python itself hangs in the child of such a fork.
    """
    _quieten()
    return fork_of_c(work)


def fork_of_c(work: Work) -> int:
    """The same, for who has made sure of that."""
    pid: int = ctypes.PyDLL(None).fork()
    if pid == 0:
        _leave_after(work)
    return pid


def let_threads_run() -> None:
    """A thread that runs goes on until it waits for something."""
    sys.setswitchinterval(INTERVAL_S)


class Bell:
    """In place of the lock that the watcher sleeps on: tells whether it does, and so does not wait for the GIL."""

    def __init__(self) -> None:
        self.sleeps = False
        self._lock = new_lock()
        self._lock.acquire()

    def acquire(self, timeout: float) -> bool:
        """For the watcher. It keeps the GIL from the note on until it sleeps, for no thread runs meanwhile."""
        self.sleeps = True
        rung: bool = self._lock.acquire(timeout=timeout)
        self.sleeps = False
        return rung

    def release(self) -> None:
        """Wake it."""
        self.sleeps = False
        self._lock.release()


def _quieten() -> None:
    """Its watcher sleeps, and does not wake by itself: under load a fork may come a second after this."""
    let_threads_run()
    replace(_link, "LOOK_S", INTERVAL_S)
    runtime = _runtime.current
    link = runtime.link if runtime is not None and runtime.ours[0] else None
    if link is None:
        return
    if not isinstance(link._poke, Bell):
        before, link._poke = link._poke, Bell()
        with contextlib.suppress(RuntimeError):  # rung already
            before.release()
    wait_until(lambda: link._poke.sleeps, what="the watcher to sleep")


def _leave_after(work: Work) -> None:
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)
