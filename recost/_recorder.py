"""Records into this process's ring: makes it at the first event, looks after it, replaces it, gives it up.

Ring, writer, upkeep and link belong together and change together.  State, and who writes it: those four (the first
event, under ``_opening``; a look that finds the ring's file gone; ``close``).
"""

from __future__ import annotations

import os
import time
from typing import Optional

from recost import _in_process
from recost._gauges import Gauges
from recost._kept import Kept
from recost._link import Link
from recost._native import TIMEOUT_MAX, new_rlock
from recost._own_ring import UNREADABLE, make_again, make_ring, tell
from recost._troubles import Troubles
from recost.config import RecostConfig
from recost.ring.files import RingFile
from recost.ring.layout import CLOSED, FLUSH_AT_MS, FLUSH_NONE, FLUSH_SIZE, FLUSH_STATUS, seed_of
from recost.ring.sentinel import new_sentinel
from recost.ring.upkeep import Condition, Upkeep
from recost.ring.writer import Writer
from recost.system import user_id

LOOK_NS = 1_000_000_000
CLOSE_S = 1.0
"""How long the end waits for a thread that makes the ring: that takes milliseconds, unless the disk hangs."""


class Recorder:
    """One process's ring, its writer, and its link to the collector. Any thread may use it; a forked child must not."""

    def __init__(self, settings: RecostConfig, troubles: Troubles) -> None:
        self.ours = new_sentinel()
        self.ring: Optional[RingFile] = None
        self.link: Optional[Link] = None
        self.writer: Optional[Writer] = None
        """The event path offers to it without a detour."""
        self.is_closed = False
        self.directory = ""
        self._settings = settings
        self._opening = new_rlock()
        self._is_opening = False
        self._troubles = troubles
        self._kept = Kept(troubles, self._try_to_open)
        self._upkeep: Optional[Upkeep] = None
        self._gauges = Gauges(troubles, tell_flushes=settings.debug)
        self._euid = user_id()
        self._looks_seen = -1
        self._last_flush = (FLUSH_NONE, 0, 0)

    def offer_slowly(self, payload: bytes, writer: Optional[Writer]) -> bool:
        """The first event, a ring that was replaced meanwhile, or a full one. False: closed.

        ``writer`` is the one that has not taken it.
        """
        if self.writer is None and not self._kept.is_rescued:
            self._open()
        if self.is_closed:
            return False
        if self.writer is None:
            self._kept.add(payload)  # the ring is being made right now, or none can be made
            self._hand_over_late()
        elif self.writer is not writer:
            self.writer.offer(payload)
        return True

    @property
    def last_flush(self) -> tuple[int, int, int]:
        """(status, metric entries, ms since the epoch) of the last delivery, also when closed."""
        ring = self.ring
        if ring is None:
            return self._last_flush
        return ring.words[FLUSH_STATUS], ring.words[FLUSH_SIZE], ring.words[FLUSH_AT_MS]

    def flush(self, timeout_s: float, *, again: bool) -> bool:
        """True when everything published so far has settled; ``again``: what was put back is tried once more."""
        deadline = time.monotonic() + max(0.0, timeout_s)  # which makes 0 of NaN, too
        if self.writer is None and self._kept and self._wait_for_ring(timeout_s):
            self._opening.release()
        writer, link = self.writer, self.link
        if self.is_closed or writer is None or link is None:
            return not self._kept
        writer.settle()
        is_done = link.is_delivered if again else link.is_settled
        return is_done(writer.tail) or link.flush(writer.tail, deadline - time.monotonic())

    def close(self) -> None:
        """Record nothing more and give the ring to the collector; the thread that makes it does, should that hang."""
        self.is_closed = True
        if self._wait_for_ring(CLOSE_S):
            try:
                self._detach()
            finally:
                self._opening.release()

    def let_go(self) -> None:
        """Close the lock: this ring has no owner any more; in a forked child: the lock tells of the parent alone."""
        ring, self.ring = self.ring, None
        if ring is not None:
            ring.close_lock()

    def look_from_event_path(self) -> None:
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

    def look(self) -> None:
        """What the watcher thread does once a second."""
        link, ring = self.link, self.ring
        if link is None or ring is None or not self.ours[0]:
            return
        if not self._is_sound():
            self._troubles.tell()
            return
        if self._settings.collector == "thread":
            _in_process.start(self.directory)  # here, for it takes longer than a request should wait
        self._gauges.look(ring.words)
        link.look()
        self._troubles.tell()

    def _wait_for_ring(self, timeout_s: float) -> bool:
        """Until no thread makes one: who does hands over what was kept. True: ``_opening`` is ours, and to release."""
        return bool(self._opening.acquire(timeout=min(max(0.0, timeout_s), TIMEOUT_MAX)))

    def _hand_over_late(self) -> None:
        """What was kept after a thread that made the ring had looked: nobody looks again before the next ring."""
        if self.writer is None:
            return
        with self._opening:
            ring, writer = self.ring, self.writer
            if ring is not None and writer is not None:
                self._kept.hand_over(ring, writer)

    def _open(self) -> None:
        """Make the ring and start the link. One thread does, the others wait for the millisecond that it takes."""
        with self._opening:
            if self.writer is not None or self.is_closed or self._is_opening:
                return  # the last: a signal handler or finalizer made a call while we are at it
            self._is_opening = True
            try:
                self._euid = user_id()  # a server may have dropped its privileges since init()
                ring = make_ring(self._settings, self._troubles)
                if ring is not None:
                    self._use(ring)
            finally:
                self._is_opening = False
            if self.ring is None:
                self._kept.rescue()

    def _use(self, ring: RingFile, earlier: Optional[Upkeep] = None) -> None:
        """Record into ``ring`` from here on. ``earlier``: of the file that it replaces."""
        self.directory = os.path.dirname(ring.path)
        may_start = self._settings.collector == "auto"
        self.ring = ring
        self.link = Link(self.directory, ring, may_start=may_start, report=self._troubles.notice)
        self._gauges.begin(ring.words)
        writer = self.writer = Writer(ring.words, ring.data, seed_of(ring.header.ring_id), self.ours)
        self._upkeep = Upkeep(ring, writer, earlier)
        self._kept.hand_over(ring, writer)
        self.link.start(self.look)
        if self.is_closed:  # meanwhile, by a thread that did not wait for this, or a handler on this one
            self._detach()

    def _try_to_open(self) -> bool:
        """True: there is a ring, or none is wanted any more."""
        self._open()
        return self.ring is not None or self.is_closed or not self.ours[0]

    def _is_sound(self) -> bool:
        """See whether the ring is still ours and as it was made. False: it was not, and is replaced or let go."""
        upkeep = self._upkeep
        condition: Condition = "sound" if upkeep is None else upkeep.look()
        if condition == "sound" and user_id() == self._euid:
            return True
        with self._opening:
            if upkeep is self._upkeep:  # no other thread was faster
                self._replace(condition)
            if self._kept:
                self._open()
        return False

    def _replace(self, condition: Condition) -> None:
        """Go on with the same ring in a new file, or let go of this one: then the next call makes another."""
        writer, ring, upkeep = self.writer, self.ring, self._upkeep
        if writer is None or ring is None or upkeep is None:
            return
        self.writer, self._is_opening = None, True  # what comes in meanwhile waits, or is kept
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
        writer, ring, link = self.writer, self.ring, self.link
        self.writer = self.link = self._upkeep = None
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
