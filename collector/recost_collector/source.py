"""One ring as the collector holds it: how far it is read, what of it is on its way, what its owner asks for."""

from __future__ import annotations

import collections
import logging
from typing import Optional

from recost.ring.files import RingFile
from recost.ring.layout import (
    DROPPED_BIG,
    DROPPED_FULL,
    FAULTS,
    FLUSH_REQUESTED,
    FLUSHES,
    HEAD,
    LOST,
    RECORDS,
    TAIL,
    seed_of,
)
from recost.ring.reader import Cursor, Reader
from recost.session import Registration
from recost_collector.changes import FINISHED, Part
from recost_collector.remade import is_remade, open_remade

QUARTER = 4
END = 1 << 62
"""No ring gets so far. A position from here on is nonsense, and soon more than the spool can note down."""
MOST_CALLS = 1 << 48
"""No process counts so far: a larger number was written by another program."""

logger = logging.getLogger("recost_collector")


class Source:
    """One ring as the collector holds it."""

    def __init__(self, file: RingFile, registration: Registration, cursor: Cursor) -> None:
        self.file = file
        self.name = file.header.name
        self.registration = registration
        self.session_id = registration.session.id
        self.destination_id = registration.session.destination.id
        self.reader = Reader(file.words, file.data, seed_of(file.header.ring_id), cursor)
        self.committed = cursor
        self.owner_gone = False
        self.flush_seen = 0
        """The newest flush, by its number, that delivery was asked for."""
        self.flush_done = 0
        """The newest whose attempt is over."""
        self.flush_asked = -1
        """The position up to which the command line wants a delivery attempt; negative: none."""
        self.unsettled: collections.deque[tuple[int, Part]] = collections.deque()
        """(frame id, part) of every frame with events of ours that has not settled, in order."""
        self.notices = 0
        self.undecodable = 0
        self._is_emptied = False
        self.is_nonsense = False
        """It claims a position that no ring reaches: nothing more is taken from it."""

    @property
    def is_urgent(self) -> bool:
        """A quarter of the ring is published and not released."""
        return self.file.words[TAIL] - self.file.words[HEAD] > self.file.header.capacity // QUARTER

    @property
    def is_finished(self) -> bool:
        """Nobody writes it any more, and all of it is taken; what will never show is counted as lost."""
        return self._is_emptied

    @property
    def is_waiting(self) -> bool:
        """There is something to drain, be it the end."""
        return self.reader.backlog > 0 or (self.owner_gone and not self.is_finished)

    @property
    def cursor_to_keep(self) -> Cursor:
        """What the spool is to know of it."""
        cursor = self.reader.cursor
        return cursor._replace(sequence=FINISHED) if self.is_finished else cursor

    def totals(self) -> dict[str, int]:
        """What became of this ring's records so far, by name."""
        words = self.file.words
        totals = {
            "recorded": words[RECORDS],
            "dropped_full": words[DROPPED_FULL],
            "dropped_big": words[DROPPED_BIG],
            "lost": self.reader.cursor.lost + words[LOST],
            "undecodable": self.undecodable,
            "faults": words[FAULTS],
        }
        return {name: value if value <= MOST_CALLS else 0 for name, value in totals.items()}

    def flushed_through(self, open_part: Optional[Part]) -> int:
        """The position before which every window has settled; ``open_part`` is ours in the open one."""
        if self.unsettled:
            return self.unsettled[0][1].start
        return self.committed.position if open_part is None else open_part.start

    @property
    def flush_requested(self) -> int:
        """The position up to which the worker wants a delivery attempt; never beyond what it has published."""
        return min(self.file.words[FLUSH_REQUESTED], self.file.words[TAIL])

    def ask_for_flush(self) -> None:
        """The command line wants an attempt for all that is published."""
        self.flush_asked = self.file.words[TAIL]

    def wants_flush(self) -> bool:
        """A flush was asked for that was not seen before."""
        return self.file.words[FLUSHES] > self.flush_seen

    def takes_flush(self) -> bool:
        """True, once, when a flush is asked for and all that it is for has been read."""
        position = self.reader.cursor.position
        by_worker = self.wants_flush() and position >= self.flush_requested
        by_command = 0 <= self.flush_asked <= position
        if by_worker:
            self.flush_seen = self.file.words[FLUSHES]
        if by_command:
            self.flush_asked = -1
        return by_worker or by_command

    def find_out_owner(self) -> None:
        """See whether the owner is gone. What it has made again is still its own."""
        if not self.owner_gone:
            self.owner_gone = self.file.owner_gone() and not is_remade(self.file)

    def follow(self) -> None:
        """Go on in the ring's new file, if its owner had to make it again."""
        new = open_remade(self.file)
        if new is not None:
            old, self.file = self.file, new
            self.reader = Reader(new.words, new.data, seed_of(new.header.ring_id), self.reader.cursor)
            old.close()

    def drain(self, max_bytes: int) -> list[bytes]:
        """The next payloads; what cannot be read any more is kept for diagnosis and counted."""
        before = self.reader.cursor
        payloads = self.reader.drain(max_bytes, owner_gone=self.owner_gone)
        if self.reader.cursor.position >= END:
            self.reader.cursor, self.is_nonsense = before, True
            return []
        if self.reader.quarantined is not None:
            kept = len(self.reader.quarantined)
            logger.warning("ring %s: what is published cannot be read and is given up, %d bytes kept", self.name, kept)
        self._is_emptied = self.owner_gone and not self.reader.backlog
        return payloads
