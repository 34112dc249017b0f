"""``collector="thread"``: the same service on a thread of the application, for places that cannot spawn.

When another collector lives the thread only follows, ready to lead when that one goes.  There is no kill timer, and
no signal is touched.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Optional

from recost.capture import suppressed
from recost.system import SHARES, at_fork
from recost_collector import own_runtime
from recost_collector.election import abandon_locks_in_child
from recost_collector.exporters import load_exporters
from recost_collector.leading import Leadership, lead
from recost_collector.service import LostLead

FOLLOW_S = 1.0
FORK_WAIT_S = 10.0
"""How long a fork waits for the thread to be between two turns. Most take a millisecond, on a busy machine some take
seconds; a child that did not wait may hang for good."""
ROBBED = (
    "the program has closed the descriptors of the collector in it, which ends; "
    "calls wait in shared memory, windows on disk, for the collector of another process: call init() after closing them"
)

__all__ = ["load_exporters", "run_here", "start", "stop"]

logger = logging.getLogger("recost_collector")


class InProcess:
    """The collector's thread of this process for one runtime directory."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.pid = os.getpid()
        self._leadership: Optional[Leadership] = None
        self._stopping = threading.Event()
        self._finish_s = 0.0
        self._thread = threading.Thread(target=self._run, name="recost-collector", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End it within ``timeout_s``: a last delivery attempt, then the lock goes."""
        self._finish_s = timeout_s
        self._stopping.set()
        leadership = self._leadership
        if leadership is not None:
            leadership.wake.call()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        with suppressed():
            self._follow_or_lead()

    def _follow_or_lead(self) -> None:
        while not self._stopping.is_set():
            try:
                with _working:
                    self._leadership = _lead(self.directory)
            except Exception:
                logger.exception("the collector cannot start in this process; the next try is in a second")
            if self._leadership is None:
                self._stopping.wait(FOLLOW_S)
            else:
                self._lead(self._leadership)

    def _lead(self, leadership: Leadership) -> None:
        try:
            while not self._stopping.is_set():
                with _working:
                    leadership.turn(time.monotonic())
                leadership.wake.wait(leadership.service.pause_s)
            with _working:
                _finish(leadership, self._finish_s)
        except Exception as exc:
            if leadership.is_robbed:  # SQLite would go on with numbers that are of other files now, also for a new one
                logger.warning(ROBBED)
                self._stopping.set()
            elif isinstance(exc, LostLead):
                logger.warning("another collector leads: %s", exc)
            else:  # a bug of ours must not take the application along: let go, and start anew from the spool
                logger.exception("the collector ends on a fault and starts anew in a second")
            leadership.give_back()
            if not isinstance(exc, LostLead):
                self._stopping.wait(FOLLOW_S)  # the fault may come back at once
        finally:
            self._leadership = None


_running: Optional[InProcess] = None
_starting = threading.Lock()
_working = threading.Lock()
"""Held while the thread works.  A fork waits for it: after one amid SQLite's work no SQLite can be used in the child,
for it waits for locks that no thread there will free, and that means the application's own, too.
"""
_forking = threading.local()


def start(directory: str) -> bool:
    """Run a collector for ``directory`` in this process, if none does. False: no thread can be started any more."""
    global _running  # noqa: PLW0603 - one collector per process
    with _starting:
        if _running is None or _running.pid != os.getpid() or _running.directory != directory:
            try:
                _running = InProcess(directory)
            except RuntimeError:  # the interpreter is exiting
                return False
    return True


def run_here(directory: str, timeout_s: float) -> bool:
    """Lead on the calling thread for as long as it takes to deliver everything once. False: another one leads."""
    with suppressed():
        leadership = _lead(directory)
        if leadership is None:
            return False
        leadership.turn(time.monotonic())
        _finish(leadership, timeout_s)
        return True


def stop(timeout_s: float) -> None:
    """End the collector of this process, if there is one, within ``timeout_s``."""
    global _running
    with _starting:
        running, _running = _running, None
    if running is not None and running.pid == os.getpid():
        running.stop(timeout_s)


def _lead(directory: str) -> Optional[Leadership]:
    if not SHARES:
        own_runtime.inherit(directory)
    return lead(directory, "thread", 0.0)


def _finish(leadership: Leadership, timeout_s: float) -> None:
    leadership.finish(timeout_s)
    if not SHARES:
        leadership.leave_no_spool()
        own_runtime.leave(leadership.directory)


def _before_fork() -> None:
    """The one hook that waits, and in this mode only. Also for a thread that works before ``start`` has noted it."""
    _forking.has_lock = _working.acquire(timeout=FORK_WAIT_S)


def _after_fork_in_parent() -> None:
    if _forking.has_lock:
        _working.release()


def _after_fork_in_child() -> None:
    """Nothing here may start, log, lock, join or wait."""
    global _running, _starting, _working  # noqa: PLW0603 - the child has none and starts none until its first call
    _running = None
    _starting, _working = threading.Lock(), threading.Lock()
    abandon_locks_in_child()


at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
