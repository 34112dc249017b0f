"""Everything the SDK owns in one process: settings, one ring, one link to the collector.

A fork does not repair a Runtime, it replaces it: the child builds a new one from the same settings, so no object
here ever holds the parent's ring, lock or thread.  Nothing is made before the first captured call.

State, and who writes it: ``current`` (init, dispose, and the first call in a forked child); a Runtime's ring,
writer and link (the first event, under ``_opening``; a look that finds the ring's file gone; dispose).
"""

from __future__ import annotations

import os
import time
from typing import Optional, Union

from recost import _in_process
from recost._exclusions import Exclusions
from recost._forks import close_copies
from recost._gauges import Gauges, tell_call
from recost._kept import Kept
from recost._link import Link
from recost._native import new_rlock
from recost._own_ring import UNREADABLE, make_again, make_ring, tell
from recost._system import at_fork
from recost._troubles import Troubles
from recost.config import RecostConfig
from recost.errors import RecostError
from recost.event import CallEvent, LlmEvent, encode
from recost.llm.marks import current_mark
from recost.ring.files import RingFile
from recost.ring.layout import CLOSED, FLUSH_AT_MS, FLUSH_NONE, FLUSH_SIZE, FLUSH_STATUS, seed_of
from recost.ring.sentinel import new_sentinel
from recost.ring.upkeep import Condition, Upkeep
from recost.ring.writer import Writer
from recost.tags import current_use, tag_here

LOOK_NS = 1_000_000_000


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
        self._opening = new_rlock()
        self._is_opening = False
        self._successors: dict[int, Runtime] = {}
        self._excluded = Exclusions(settings)
        self._tags_routes = settings.route_tags
        self._troubles = Troubles(settings.on_error)
        self._kept = Kept(self._troubles, self._try_to_open)
        self._upkeep: Optional[Upkeep] = None
        self._gauges = Gauges(self._troubles, tell_flushes=settings.debug)
        self._euid = os.geteuid()
        self._looked_at_ns = 0
        self._looks_seen = -1
        self._last_flush = (FLUSH_NONE, 0, 0)

    def here(self) -> Runtime:
        """The Runtime of this process: itself, or in a forked child its successor, made on first demand."""
        if self.ours[0]:
            return self
        pid = os.getpid()
        successor = self._successors.get(pid)
        if successor is not None and not successor.ours[0]:  # of an ancestor that had our pid
            self._successors.pop(pid, None)
            successor = None
        if successor is None:
            # No lock of the parent's may be waited for, so threads race and setdefault decides.
            successor = self._successors.setdefault(pid, self._succeed())
        return successor

    def record(self, event: CallEvent) -> bool:
        """Publish one finished call. Takes microseconds; what does not fit is counted. False: disposed meanwhile."""
        if self.disposed:
            return False
        mark = current_mark()
        if self._excluded(event):
            if mark is not None:
                mark.is_excluded = True
            return True
        if mark is not None and mark.is_open:
            mark.carrier, event.is_llm, event.tag = event, True, mark.tag
        use = current_use()  # of the call: it ends on the thread and in the task that made it
        if use is not None or self._tags_routes:
            event.tag = event.tag or tag_here(or_route=self._tags_routes)
        if not self._publish(event):
            return False
        if self.settings.debug:
            tell_call(event)
        return True

    def record_llm(self, event: LlmEvent) -> bool:
        """Publish one finished LLM call; gets its tag here, like a call. False: disposed meanwhile."""
        if self.disposed:
            return False
        event.tag = event.tag or tag_here(or_route=self._tags_routes)
        return self._publish(event)

    def excludes(self, event: CallEvent) -> bool:
        """Whether such a call would be left out."""
        return self._excluded(event)

    def _publish(self, event: Union[CallEvent, LlmEvent]) -> bool:
        payload = encode(event)
        writer = self._writer
        taken = writer is not None and writer.offer(payload)
        if not taken and not self._offer_slowly(payload, writer):
            return False
        now_ns = event.at_ns + event.duration_ns
        if not -LOOK_NS < now_ns - self._looked_at_ns < LOOK_NS:
            self._looked_at_ns = now_ns
            self._look_from_event_path()
        return True

    @property
    def last_flush(self) -> tuple[int, int, int]:
        """(status, metric entries, ms since the epoch) of the last delivery, also when disposed."""
        ring = self.ring
        if ring is None:
            return self._last_flush
        return ring.words[FLUSH_STATUS], ring.words[FLUSH_SIZE], ring.words[FLUSH_AT_MS]

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
        with self._opening:
            self._detach()
        self._troubles.tell()
        if timeout_s > 0 and self.settings.collector == "thread" and self.directory:
            settled = _in_process.end(self.directory, until - time.monotonic()) and settled
        return settled

    def _settle_at_end(self, timeout_s: float) -> bool:
        if self.settings.collector == "thread" and not _in_process.start(self.directory):
            return True  # nobody would answer; ``_in_process.end`` does the work
        return self.flush(timeout_s, again=False)

    def let_go(self) -> None:
        """Close the lock: this ring has no owner any more; in a forked child: the lock tells of the parent alone."""
        ring, self.ring = self.ring, None
        if ring is not None:
            ring.close_lock()

    def _succeed(self) -> Runtime:
        for inherited in (self, current):
            if inherited is not None and not inherited.ours[0]:
                inherited.let_go()
        close_copies()
        successor = Runtime(self.settings)
        successor.disposed = self.disposed
        successor._successors = self._successors  # one for all handles, also in a fork of the fork
        if not self.announced:
            text = "a fork that Python was not told of (uWSGI's default) was noticed; this process has a new ring"
            successor._troubles.later(RecostError(text))
        return successor

    def _offer_slowly(self, payload: bytes, writer: Optional[Writer]) -> bool:
        """The first event, a forked child, a ring that was replaced meanwhile, or a full one. False: disposed."""
        if not self.ours[0]:
            return adopt(self.here())._offer_slowly(payload, None)  # noqa: SLF001 - another object of the same class
        if self._writer is None and not self._kept.is_rescued:
            self._open()
        if self.disposed:
            return False
        if self._writer is None:
            self._kept.add(payload)  # the ring is being made right now, or none can be made
            self._hand_over_late()
        elif self._writer is not writer:
            self._writer.offer(payload)
        return True

    def _hand_over_late(self) -> None:
        """What was kept after a thread that made the ring had looked: nobody looks again before the next ring."""
        if self._writer is None:
            return
        with self._opening:
            ring, writer = self.ring, self._writer
            if ring is not None and writer is not None:
                self._kept.hand_over(ring, writer)

    def _open(self) -> None:
        """Make the ring and start the link. One thread does, the others wait for the millisecond that it takes."""
        with self._opening:
            if self._writer is not None or self.disposed or self._is_opening:
                return  # the last: a signal handler or finalizer made a call while we are at it
            self._is_opening = True
            try:
                self._euid = os.geteuid()  # a server may have dropped its privileges since init()
                ring = make_ring(self.settings, self._troubles)
                if ring is not None:
                    self._use(ring)
            finally:
                self._is_opening = False
            if self.ring is None:
                self._kept.rescue()

    def _use(self, ring: RingFile, earlier: Optional[Upkeep] = None) -> None:
        """Record into ``ring`` from here on. ``earlier``: of the file that it replaces."""
        self.directory = os.path.dirname(ring.path)
        may_start = self.settings.collector == "auto"
        self.ring = ring
        self.link = Link(self.directory, ring, may_start=may_start, report=self._troubles.notice)
        self._gauges.begin(ring.words)
        writer = self._writer = Writer(ring.words, ring.data, seed_of(ring.header.ring_id), self.ours)
        self._upkeep = Upkeep(ring, writer, earlier)
        self._kept.hand_over(ring, writer)
        self.link.start(self._look)

    def _try_to_open(self) -> bool:
        """True: there is a ring, or none is wanted any more."""
        self._open()
        return self.ring is not None or self.disposed or not self.ours[0]

    def _is_sound(self) -> bool:
        """See whether the ring is still ours and as it was made. False: it was not, and is replaced or let go."""
        upkeep = self._upkeep
        condition: Condition = "sound" if upkeep is None else upkeep.look()
        if condition == "sound" and os.geteuid() == self._euid:
            return True
        with self._opening:
            if upkeep is self._upkeep:  # no other thread was faster
                self._replace(condition)
            if self._kept:
                self._open()
        return False

    def _replace(self, condition: Condition) -> None:
        """Go on with the same ring in a new file, or let go of this one: then the next call makes another."""
        writer, ring, upkeep = self._writer, self.ring, self._upkeep
        if writer is None or ring is None or upkeep is None:
            return
        self._writer, self._is_opening = None, True  # what comes in meanwhile waits, or is kept
        try:
            writer.close()
            again, lost = make_again(condition, ring, writer, upkeep)
            self._kept.lost += lost
            self._detach(is_readable=condition not in UNREADABLE)
            if again is not None:
                self._use(again, upkeep)
        finally:
            self._is_opening = False
        tell(condition, lost, self._troubles)

    def _detach(self, *, is_readable: bool = True) -> None:
        """Give the ring to the collector, which delivers what is in it and removes it; one nobody can read goes."""
        writer, ring, link = self._writer, self.ring, self.link
        self._writer = self.link = self._upkeep = None
        if writer is not None:
            writer.close()  # from here on nothing is published, so the lock may go
        if link is not None:
            link.stop()
        if ring is None:
            return
        if not is_readable:
            ring.remove()
        elif link is not None:
            link.hear()
            self._last_flush = self.last_flush
            self._gauges.look(ring.words)
            ring.words[CLOSED] = 1
        self.let_go()
        if not ring.lock_is_ours():
            _unmappable.append(ring)

    def _look_from_event_path(self) -> None:
        """Once a second: see whether the ring is still ours and on disk, and whether the watcher thread runs."""
        ring, link = self.ring, self.link
        if not self.ours[0]:  # forked amid this call: the child's first one is recorded elsewhere
            return
        if ring is None or link is None:
            if self._kept and not self._kept.is_rescued:
                self._open()
            return
        if not self._is_sound():
            return
        if link.looks == self._looks_seen:
            link.look(may_wait=False)  # and without telling: this thread serves a request
        self._looks_seen = link.looks

    def _look(self) -> None:
        """What the watcher thread does once a second."""
        link, ring = self.link, self.ring
        if link is None or ring is None or not self.ours[0]:
            return
        if not self._is_sound():
            self._troubles.tell()
            return
        if self.settings.collector == "thread":
            _in_process.start(self.directory)  # here, for it takes longer than a request should wait
        self._gauges.look(ring.words)
        link.look()
        self._troubles.tell()


current: Optional[Runtime] = None
_unmappable: list[RingFile] = []
"""Rings whose descriptors the application has closed: unmapping one would close whatever has its number now."""


def record(event: CallEvent) -> None:
    """What capture calls."""
    runtime = current
    while runtime is not None and not runtime.record(event):
        newer = current  # ``init()`` was called again while this call was on its way
        runtime = newer if newer is not runtime else None


def record_llm(event: LlmEvent) -> bool:
    """What LLM calls come to. False: nothing records in this process."""
    runtime = current
    while runtime is not None and not runtime.record_llm(event):
        newer = current
        runtime = newer if newer is not runtime else None
    return runtime is not None


def adopt(runtime: Runtime) -> Runtime:
    """Make ``runtime`` the one that records in this process."""
    global current  # noqa: PLW0603 - the one place that names what records in this process
    current = runtime
    return runtime


def _after_fork_in_child() -> None:
    """Nothing here may start, log, lock, join or wait."""
    if current is not None:
        current.announced = True
        current.let_go()
    close_copies()


at_fork(after_in_child=_after_fork_in_child)
