"""A worker's view of the collector: is it alive, start one, ask for a flush, hear of trouble.

One watcher thread per process, started with the first event, looks once a second; where threads do not run
(uWSGI without ``--enable-threads``) the event path looks instead.  Alive means that the heartbeat *counter* in our
ring moved since the last look: no clock is shared between processes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from typing import Callable

from recost._killing import kill
from recost._native import native, new_lock, new_rlock, start_thread
from recost._spawn import SpawnLock
from recost._starts import NONE, Starts
from recost._version import __version__
from recost.leader import HANDOVER_SIGNAL, has_leader, read_leader, sign_of_life, wake_leader
from recost.notice import Notice
from recost.ring.files import RingFile
from recost.ring.layout import (
    FLUSH_ERROR,
    FLUSH_REQUESTED,
    FLUSH_STATUS,
    FLUSHED_THROUGH,
    FLUSHES,
    FLUSHES_DONE,
    HEARTBEAT,
    WORD_MASK,
)
from recost.ring.notices import read_notices
from recost.system import keep_signals_from_this_thread

LOOK_S = 1.0
SILENT_LOOKS = 10
"""Looks without a sign of life after which a leader that still holds its lock counts as hung."""
HANDOVER_S = 5.0
HEAR_S = 0.1
"""Reading what there is takes microseconds."""

OF_THIS_THREAD = {getattr(signal, name, 0) for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT")}
"""A fault of a thread goes to that thread, and a program's faulthandler tells of it."""

sleep = native("time", "sleep")
"""For the watcher's thread, which gevent must not make a hub for."""
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
        self._sign = 0
        """The leader's sign of life when the silence began."""
        self._is_unserved = False
        self._starts = Starts()
        self._is_watched = False
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

    def look(self, *, may_wait: bool = True) -> None:
        """One look: start, replace or reap a collector as needed, and report what it tells.

        ``may_wait`` False, for a thread that serves a request: never wait for a leader to make room.
        """
        if not self._looking.acquire(False):
            return
        try:
            self.looks += 1
            self.hear()
            self._check_alive(may_wait=may_wait)
            if may_wait:
                self._starts.await_middle_process()
        except OSError as exc:
            self._tell_start_failure(f"{NONE}: {exc.strerror or exc}", exc.errno or 0)
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
        deadline = time.monotonic() + max(0.0, timeout_s)  # which makes 0 of NaN, too
        words = self._ring.words
        with self._asking:  # threads take turns, or one's flush would pass for the other's
            words[FLUSH_REQUESTED] = max(position, words[FLUSH_REQUESTED])
            number = words[FLUSHES] = words[FLUSHES] + 1 & WORD_MASK
        pause_s = 0.001
        next_look = 0.0
        while not (words[FLUSHES_DONE] >= number and self.is_settled(position)):
            now = time.monotonic()
            if now >= deadline:
                return False
            if now >= next_look:
                self.look(may_wait=not self._is_watched)
                wake_leader(self._directory)
                next_look = now + LOOK_S / 4
                if self._starts.is_refused:
                    return False  # nobody is there and nobody can come
            time.sleep(min(pause_s, max(0.0, deadline - now)))  # gevent's, if the program has it: others go on
            pause_s = min(pause_s * 1.5, 0.02)
        self.poke()  # what it has to tell is told on its thread, not on this one
        return True

    def _watch(self, on_look: Callable[[], None]) -> None:
        keep_signals_from_this_thread(but=OF_THIS_THREAD)
        self._is_watched = True
        while not self._stopped:
            on_look()
            self._poke.acquire(timeout=LOOK_S)
        with self._looking:  # a middle process that nobody waits for would stay as a zombie
            while self._starts.is_to_be_awaited():
                sleep(LOOK_S / 50)

    def hear(self) -> None:
        """Report what the collector has written into our ring since the last time."""
        # At the end the disposing thread hears, too: each notice is for one of the two.  Waited for in vain when a
        # signal handler disposes amid this: what it interrupted tells.
        if not self._hearing.acquire(timeout=HEAR_S):
            return
        try:
            heard = read_notices(self._ring, self._notices_seen)
            self._notices_seen = heard.seen
        finally:
            self._hearing.release()
        for notice in heard.notices:
            self._report(notice)
        if heard.missed:
            self._report(Notice("overflow", f"{heard.missed} more reports of the collector came too fast to keep"))

    def _check_alive(self, *, may_wait: bool) -> None:
        beat = self._ring.words[HEARTBEAT]
        if beat != self._beat:
            self._beat = beat
            self._silent_looks = 0
            self._start_failed = self._is_unserved = False
            self._starts.succeed()
            if may_wait:
                self._check_version()
            return
        self._count_silence()
        failure = self._starts.failure()
        if failure and not self._leader_turns():
            self._tell_start_failure(failure)
        if self._may_start and self._starts.may_begin():
            self._start_or_replace(may_wait=may_wait)

    def _count_silence(self) -> None:
        """Looks, not seconds: a worker that was itself stopped must not take the leader for hung."""
        now = time.monotonic()
        if now - self._silence_counted_at >= 0.9 * LOOK_S:
            self._silence_counted_at = now
            self._silent_looks += 1
            if self._silent_looks == 1:
                self._sign = sign_of_life(self._directory)

    def _leader_turns(self) -> bool:
        """True when it has since the silence began: it does not hang, it does not read our ring."""
        return sign_of_life(self._directory) != self._sign

    def _start_or_replace(self, *, may_wait: bool) -> None:
        with SpawnLock(self._directory) as lock:
            if lock.taken and (not has_leader(self._directory) or self._kill_if_hung(may_wait=may_wait)):
                self._starts.begin(lock)

    def _tell_start_failure(self, why: str, errno: int = 0) -> None:
        if not self._start_failed:  # until a heartbeat
            self._start_failed = True
            what = "calls wait in shared memory, none is lost while that has room, and a start is tried again"
            self._report(Notice("degraded", f"{why}; {what}; {self._starts.hint}", errno=errno))

    def _tell_unserved(self) -> None:
        if not self._is_unserved:  # until a heartbeat
            self._is_unserved = True
            text = "a collector runs but does not read the ring of this process, events wait in shared memory"
            self._report(Notice("degraded", f"{text}; recost-collector status may tell why"))

    def _kill_if_hung(self, *, may_wait: bool) -> bool:
        """End a leader that was silent too long, if it surely is that process. True when the lock is free."""
        if self._silent_looks < SILENT_LOOKS:
            return False
        if self._leader_turns():
            self._silent_looks = 0
            self._tell_unserved()
            return False
        leader = read_leader(self._directory)
        if leader is None or leader.kind == "thread" or not leader.is_alive():
            return False
        logger.warning("the collector hangs and is replaced: pid=%d silent_s=%d", leader.pid, self._silent_looks)
        kill(leader.pid, leader.process_start)
        self._silent_looks = 0
        return _wait_for_no_leader(self._directory, HANDOVER_S if may_wait else 0.0)

    def _check_version(self) -> None:
        """Once per ring: a collector that is older than we are makes room for one of our version."""
        if self._version_checked or not self._may_start or not self._starts.may_begin():
            return
        self._version_checked = True
        leader = read_leader(self._directory)
        if leader is None or leader.kind != "spawned" or _as_tuple(leader.version) >= _as_tuple(__version__):
            return
        if not leader.is_alive():  # in another pid namespace: it serves us as it is
            return
        with SpawnLock(self._directory) as lock:
            if lock.taken:
                os.kill(leader.pid, HANDOVER_SIGNAL)
                if _wait_for_no_leader(self._directory, HANDOVER_S):
                    self._starts.begin(lock)


def _wait_for_no_leader(directory: str, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while has_leader(directory):
        if time.monotonic() >= deadline:
            return False
        sleep(0.01)
    return True


def _as_tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
