"""A worker's view of the collector: is it alive, start one, ask for a flush, hear of trouble.

One watcher thread per process, started with the first event, looks once a second; where threads do not run
(uWSGI without ``--enable-threads``) the event path looks instead.  Alive means that the heartbeat *counter* in our
ring moved since the last look: no clock is shared between processes.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import time
from typing import Callable, Optional

from recost._native import new_lock, new_rlock, start_thread
from recost._spawn import Spawned, SpawnLock, spawn
from recost._version import __version__
from recost.leader import HANDOVER_SIGNAL, has_leader, read_leader, wake_leader
from recost.notice import Notice
from recost.paths import process_start
from recost.ring.files import RingFile
from recost.ring.layout import (
    FLUSH_ERROR,
    FLUSH_REQUESTED,
    FLUSH_STATUS,
    FLUSHED_THROUGH,
    FLUSHES,
    FLUSHES_DONE,
    HEARTBEAT,
)
from recost.ring.notices import read_notices

LOOK_S = 1.0
SILENT_LOOKS = 10
"""Looks without a sign of life after which a leader that still holds its lock counts as hung."""
START_S = 10.0
"""How long a started collector may take to show itself before we free the spawn lock for others."""
HANDOVER_S = 5.0

logger = logging.getLogger("recost")


class Link:
    """Watches over the collector of ``directory`` on behalf of the owner of ``ring``.

    ``look`` may be called by the watcher thread and the event path at once: a lock that is never waited for lets
    one of them through.  A forked child never touches its parent's link.
    """

    def __init__(self, directory: str, ring: RingFile, *, may_start: bool, report: Callable[[Notice], None]) -> None:
        self._directory = directory
        self._ring = ring
        self._may_start = may_start
        self._report = report
        self._looking = new_lock()
        self._hearing = new_lock()
        self._asking = new_rlock()
        self._poke = new_lock()
        self._poke.acquire()
        self._stopped = False
        self._beat = 0
        self._silent_looks = 0
        self._silence_counted_at = 0.0
        self._started: Optional[Spawned] = None
        self._started_at = 0.0
        self._start_failed = False
        self._version_checked = False
        self._notices_seen = 0
        self.looks = 0
        """Grows with every look; the event path sees by it whether the watcher thread runs."""

    def start(self, on_look: Callable[[], None]) -> None:
        """Start the watcher thread, which calls ``on_look`` about once a second until ``stop``."""
        with contextlib.suppress(RuntimeError):  # the interpreter is exiting: dispose() looks instead
            start_thread(self._watch, (on_look,))

    def stop(self) -> None:
        """Let the watcher thread end. Does not wait for it."""
        self._stopped = True
        self.poke()

    def poke(self) -> None:
        """Make the watcher thread look now."""
        with contextlib.suppress(RuntimeError):  # poked already
            self._poke.release()

    def look(self) -> None:
        """One look: start, replace or reap a collector as needed, and report what it tells."""
        if not self._looking.acquire(False):
            return
        try:
            self.looks += 1
            self.hear()
            self._check_alive()
        finally:
            self._looking.release()

    def is_settled(self, position: int) -> bool:
        """True when every window with events of ours from before ``position`` has settled."""
        return self._ring.words[FLUSHED_THROUGH] >= position

    def is_delivered(self, position: int) -> bool:
        """True when all of it arrived: what settled last did, and frames go in order."""
        return self.is_settled(position) and self._ring.words[FLUSH_STATUS] != FLUSH_ERROR

    def flush(self, position: int, timeout_s: float) -> bool:
        """Ask for one delivery attempt of all before ``position`` and wait for it, replacing a dead collector."""
        deadline = time.monotonic() + timeout_s
        words = self._ring.words
        with self._asking:  # threads take turns, or one's flush would pass for the other's
            words[FLUSH_REQUESTED] = max(position, words[FLUSH_REQUESTED])
            number = words[FLUSHES] = words[FLUSHES] + 1
        pause_s = 0.001
        next_look = 0.0
        while not (words[FLUSHES_DONE] >= number and self.is_settled(position)):
            now = time.monotonic()
            if now >= deadline:
                return False
            if now >= next_look:
                self.look()
                wake_leader(self._directory)
                next_look = now + LOOK_S / 4
            time.sleep(min(pause_s, max(0.0, deadline - now)))
            pause_s = min(pause_s * 1.5, 0.02)
        self.poke()  # what it has to tell is told on its thread, not on this one
        return True

    def _watch(self, on_look: Callable[[], None]) -> None:
        while not self._stopped:
            on_look()
            self._poke.acquire(timeout=LOOK_S)
        with self._looking:  # a middle process that nobody waits for would stay as a zombie
            while self._started is not None and not self._start_is_overdue():
                self._finish_start()
                time.sleep(LOOK_S / 50)

    def hear(self) -> None:
        """Report what the collector has written into our ring since the last time."""
        with self._hearing:  # at the end the disposing thread hears, too: each notice is for one of the two
            heard = read_notices(self._ring, self._notices_seen)
            self._notices_seen = heard.seen
        for notice in heard.notices:
            self._report(notice)
        if heard.missed:
            self._report(Notice("overflow", f"{heard.missed} more reports of the collector came too fast to keep"))

    def _check_alive(self) -> None:
        beat = self._ring.words[HEARTBEAT]
        if beat != self._beat:
            self._beat = beat
            self._silent_looks = 0
            self._finish_start()
            self._check_version()
            return
        self._count_silence()
        if self._started is not None and not self._start_is_overdue():
            return
        self._finish_start()
        if self._may_start:
            self._start_or_replace()

    def _count_silence(self) -> None:
        """Looks, not seconds: a worker that was itself stopped must not take the leader for hung."""
        now = time.monotonic()
        if now - self._silence_counted_at >= 0.9 * LOOK_S:
            self._silence_counted_at = now
            self._silent_looks += 1

    def _start_is_overdue(self) -> bool:
        return self._started is not None and time.monotonic() - self._started_at > START_S

    def _finish_start(self) -> None:
        """Reap the middle process and free the spawn lock once the collector shows itself, or never will."""
        if self._started is None or not self._started.reap():
            return
        self._started.release()
        self._started = None

    def _start_or_replace(self) -> None:
        try:
            lock = SpawnLock(self._directory)
            if not lock.taken or (has_leader(self._directory) and not self._kill_if_hung()):
                lock.release()
                return
            self._started = spawn(lock)
            self._started_at = time.monotonic()
            self._start_failed = False
        except OSError as exc:
            self._tell_start_failure(exc)

    def _tell_start_failure(self, exc: OSError) -> None:
        if not self._start_failed:
            self._start_failed = True
            text = f"no collector can be started, events wait in shared memory: {exc}"
            self._report(Notice("degraded", text, errno=exc.errno or 0))

    def _kill_if_hung(self) -> bool:
        """End a leader that was silent too long, if it surely is that process. True when the lock is free."""
        if self._silent_looks < SILENT_LOOKS:
            return False
        leader = read_leader(self._directory)
        if leader is None or leader.kind == "thread" or not leader.is_alive():
            return False
        logger.warning("the collector hangs and is replaced: pid=%d silent_s=%d", leader.pid, self._silent_looks)
        _kill(leader.pid, leader.process_start)
        self._silent_looks = 0
        return _wait_for_no_leader(self._directory, HANDOVER_S)

    def _check_version(self) -> None:
        """Once per ring: a collector that is older than we are makes room for one of our version."""
        if self._version_checked or not self._may_start:
            return
        self._version_checked = True
        leader = read_leader(self._directory)
        if leader is None or leader.kind != "spawned" or _as_tuple(leader.version) >= _as_tuple(__version__):
            return
        if not leader.is_alive():  # in another pid namespace: it serves us as it is
            return
        try:
            lock = SpawnLock(self._directory)
            if not lock.taken:
                lock.release()
                return
            os.kill(leader.pid, HANDOVER_SIGNAL)
            if not _wait_for_no_leader(self._directory, HANDOVER_S):
                lock.release()
                return
            self._started = spawn(lock)
            self._started_at = time.monotonic()
        except OSError as exc:
            self._tell_start_failure(exc)


def _kill(pid: int, process_start_ticks: int) -> None:
    """SIGKILL exactly that process: through a pidfd where there is one, so that a reused pid is safe."""
    pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
    try:
        if process_start(pid) != process_start_ticks:
            return
        if pidfd >= 0 and hasattr(signal, "pidfd_send_signal"):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except OSError as exc:
        if exc.errno != errno.ESRCH:
            raise
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _wait_for_no_leader(directory: str, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while has_leader(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _as_tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
