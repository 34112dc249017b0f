"""Everything the SDK owns in one process: settings, one ring, one link to the collector.

A fork does not repair a Runtime, it replaces it: the child builds a new one from the same settings, so no object
here ever holds the parent's ring, lock or thread.  Nothing is made before the first captured call.

State, and who writes it: ``current`` (init, dispose, and the first call in a forked child); a Runtime's ring,
writer and link (the first event, under ``_opening``; a look that finds the ring's file gone; dispose).
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import sys
import time
from typing import Optional

from recost import _in_process, session
from recost._destination import registration
from recost._exclusions import Exclusions
from recost._gauges import Gauges
from recost._link import Link
from recost._native import new_lock
from recost._troubles import Troubles
from recost.config import RecostConfig
from recost.errors import RecostError
from recost.event import NS_PER_MS, CallEvent, encode
from recost.paths import make_private_dir, runtime_dirs
from recost.ring.files import RingFile, create_ring
from recost.ring.layout import CLOSED, seed_of
from recost.ring.sentinel import new_sentinel
from recost.ring.writer import Words, Writer

LOOK_NS = 1_000_000_000
DEGRADED_EVENTS = 1000
"""What is kept in memory while no ring can be made at all."""

logger = logging.getLogger("recost")


class Runtime:
    """The SDK in one process. ``record`` is called by capture with every finished call."""

    def __init__(self, settings: RecostConfig) -> None:
        self.settings = settings
        self.ours = new_sentinel()
        self.ring: Optional[RingFile] = None
        self.link: Optional[Link] = None
        self.disposed = False
        self.announced = False
        """Set in a forked child by Python's at-fork hook."""
        self.directory = ""
        self._writer: Optional[Writer] = None
        self._opening = new_lock()
        self._successors: dict[int, Runtime] = {}
        self._excluded = Exclusions(settings)
        self._troubles = Troubles(settings.on_error)
        self._kept: collections.deque[bytes] = collections.deque(maxlen=DEGRADED_EVENTS)
        self._gauges = Gauges(self._troubles, tell_flushes=settings.debug)
        self._euid = os.geteuid()
        self._looked_at_ns = 0
        self._looks_seen = -1

    def here(self) -> Runtime:
        """The Runtime of this process: itself, or in a forked child its successor, made on first demand."""
        if self.ours[0]:
            return self
        pid = os.getpid()
        successor = self._successors.get(pid)
        if successor is None:
            # No lock of the parent's may be waited for, so threads race and setdefault decides.
            successor = self._successors.setdefault(pid, self._succeed())
        return successor

    def record(self, event: CallEvent) -> None:
        """Publish one finished call. Takes microseconds; what does not fit is counted."""
        if self.disposed or self._excluded(event):
            return
        payload = encode(event)
        writer = self._writer
        if writer is None or not writer.offer(payload):
            self._offer_slowly(payload, writer)
        now_ns = event.at_ns + event.duration_ns
        if not -LOOK_NS < now_ns - self._looked_at_ns < LOOK_NS:
            self._looked_at_ns = now_ns
            self._look_from_event_path()
        if self.settings.debug:
            _tell_call(event)

    def status_words(self) -> Optional[Words]:
        """The ring's words; None while there is no ring."""
        return None if self.ring is None else self.ring.words

    def flush(self, timeout_s: float, *, again: bool = True) -> bool:
        """True when everything published so far has settled; ``again``: what was put back is tried once more."""
        writer, link = self._writer, self.link
        if self.disposed or writer is None or link is None:
            return not self._kept
        writer.settle()
        is_done = link.is_delivered if again else link.is_settled
        return is_done(writer.tail) or link.flush(writer.tail, timeout_s)

    def dispose(self, timeout_s: float) -> bool:
        """Stop recording, wait up to ``timeout_s`` for what is undelivered (0: not at all), detach."""
        if self.disposed:
            return True
        until = time.monotonic() + timeout_s
        settled = timeout_s <= 0 or self._settle_at_end(timeout_s)
        self.disposed = True
        if self.link is not None:
            self.link.stop()
            self.link.hear()
        self._troubles.tell()
        self._detach()
        if timeout_s > 0 and self.settings.collector == "thread" and self.directory:
            settled = _in_process.end(self.directory, until - time.monotonic()) and settled
        return settled

    def _settle_at_end(self, timeout_s: float) -> bool:
        if self.settings.collector == "thread" and not _in_process.start(self.directory):
            return True  # nobody would answer; ``_in_process.end`` does the work
        return self.flush(timeout_s, again=False)

    def leave_to_parent(self) -> None:
        """In a forked child: let go of the parent's ring, so that its lock tells of the parent alone."""
        self._let_go()

    def _let_go(self) -> None:
        ring, self.ring = self.ring, None
        if ring is not None:
            with contextlib.suppress(OSError):
                os.close(ring.lock_fd)

    def _succeed(self) -> Runtime:
        self.leave_to_parent()
        successor = Runtime(self.settings)
        successor.disposed = self.disposed
        if not self.announced:
            successor._troubles.later(
                RecostError(
                    "a fork that Python was not told of (uWSGI's default) was noticed; this process has a new ring"
                )
            )
        return successor

    def _offer_slowly(self, payload: bytes, writer: Optional[Writer]) -> None:
        """The first event, a forked child, a ring that was replaced meanwhile, or a full one."""
        if not self.ours[0]:
            adopt(self.here())._offer_slowly(payload, None)  # noqa: SLF001 - another object of the same class
            return
        if self._writer is None:
            self._open()
        if self._writer is None:
            self._kept.append(payload)
        elif self._writer is not writer:
            self._writer.offer(payload)

    def _open(self) -> None:
        """Make the ring and start the link. One thread does, the others wait for the millisecond that it takes."""
        with self._opening:
            if self._writer is not None or self.disposed:
                return
            self._euid = os.geteuid()  # a server may have dropped its privileges since init()
            ring = self._create_ring()
            if ring is None:
                return
            self.ring = ring
            self.link = Link(
                self.directory, ring, may_start=self.settings.collector == "auto", report=self._troubles.notice
            )
            writer = Writer(ring.words, ring.data, seed_of(ring.header.ring_id), self.ours)
            while self._kept:
                writer.offer(self._kept.popleft())
            self._writer = writer
            self.link.start(self._look)

    def _create_ring(self) -> Optional[RingFile]:
        """A ring in the first runtime directory that takes one; None, reported once, when none does."""
        block = session.encode(registration(self.settings, os.environ))
        for directory in runtime_dirs():
            try:
                make_private_dir(directory)
                ring = create_ring(directory, block, self.settings.ring_bytes)
            except OSError as exc:
                self._troubles.once("ring", RecostError(f"no ring can be made in {directory}: {exc}"))
                continue
            self.directory = directory
            return ring
        return None

    def _detach(self) -> None:
        """Give the ring to the collector, which delivers what is in it and removes it."""
        writer, ring = self._writer, self.ring
        if writer is not None:
            writer.close()  # from here on nothing is published, so the lock may go
        if ring is not None:
            ring.words[CLOSED] = 1
            self._let_go()

    def _look_from_event_path(self) -> None:
        """Once a second: see whether the ring is still ours and on disk, and whether the watcher thread runs."""
        ring, link = self.ring, self.link
        if ring is None or link is None:
            if self._kept:
                self._open()
            return
        if os.geteuid() != self._euid or os.fstat(ring.lock_fd).st_nlink == 0:
            self._replace_ring()
            return
        if link.looks == self._looks_seen:
            link.look()  # without telling: this thread serves a request
        self._looks_seen = link.looks

    def _replace_ring(self) -> None:
        """The file was removed, or privileges were dropped: go on with a new ring; the collector drains the old."""
        with self._opening:
            writer, ring, link = self._writer, self.ring, self.link
            self._writer = self.ring = self.link = None
            self._euid = os.geteuid()
        if writer is not None:
            writer.close()
        if link is not None:
            link.stop()
        if ring is not None:
            with contextlib.suppress(OSError):
                os.close(ring.lock_fd)

    def _look(self) -> None:
        """What the watcher thread does once a second."""
        link, ring = self.link, self.ring
        if link is None or ring is None or not self.ours[0]:
            return
        if self.settings.collector == "thread":
            _in_process.start(self.directory)  # here, for it takes longer than a request should wait
        self._gauges.look(ring.words)
        link.look()
        self._troubles.tell()


current: Optional[Runtime] = None


def record(event: CallEvent) -> None:
    """What capture calls."""
    runtime = current
    if runtime is not None:
        runtime.record(event)


def adopt(runtime: Runtime) -> Runtime:
    """Make ``runtime`` the one that records in this process."""
    global current  # noqa: PLW0603 - the one place that names what records in this process
    current = runtime
    return runtime


def _after_fork_in_child() -> None:
    """Nothing here may start, log, lock, join or wait."""
    if current is not None:
        current.announced = True
        current.leave_to_parent()


def _tell_call(event: CallEvent) -> None:
    sys.stderr.write(
        f"[recost] {event.method} {event.scheme}://{event.netloc}{event.path} {event.status}"
        f" {event.duration_ns / NS_PER_MS:.1f} ms\n"
    )


os.register_at_fork(after_in_child=_after_fork_in_child)
