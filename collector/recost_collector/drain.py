"""The rings of a runtime directory: found, drained in turn, and reaped when their owner is gone.

Anything wrong with one file sets that one aside, counted and told; it never ends the collector.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import time
from typing import Optional

import msgspec

from recost import session
from recost.paths import boot_id
from recost.ring.files import RING_PREFIX, UNFINISHED_PREFIX, RingFile, abandon_unfinished, open_ring
from recost.ring.layout import (
    CLOSED,
    DROPPED_BIG,
    DROPPED_FULL,
    FAULTS,
    FLUSH_REQUESTED,
    FLUSHES,
    HEAD,
    RECORDS,
    TAIL,
    BadRing,
    seed_of,
)
from recost.ring.reader import UNKNOWN, Cursor, Reader, Record
from recost.session import Registration
from recost_collector.changes import Part

RESCAN_S = 1.0
UNFINISHED_S = 10.0
"""Age at which the temporary file of a worker that died while making its ring is removed."""
QUARTER = 4

logger = logging.getLogger("recost_collector")


class Source:
    """One ring as the collector holds it."""

    def __init__(self, file: RingFile, registration: Registration, cursor: Cursor) -> None:
        self.file = file
        self.name = file.header.name
        self.registration = registration
        self.session_id = registration.session.id
        self.reader = Reader(file.words, file.data, seed_of(file.header.ring_id), cursor)
        self.committed = cursor
        self.owner_gone = False
        self.flush_seen = 0
        """The newest flush, by its number, that delivery was asked for."""
        self.flush_done = 0
        """The newest whose attempt is over."""
        self.unsettled: collections.deque[tuple[int, Part]] = collections.deque()
        """(frame id, part) of every frame with events of ours that has not settled, in order."""
        self.notices = 0
        self.undecodable = 0

    @property
    def destination_id(self) -> str:
        return self.registration.session.destination.id

    @property
    def is_urgent(self) -> bool:
        """A quarter of the ring is published and not released."""
        return self.file.words[TAIL] - self.file.words[HEAD] > self.file.header.capacity // QUARTER

    def totals(self) -> dict[str, int]:
        """What became of this ring's records so far, by name."""
        words = self.file.words
        return {
            "recorded": words[RECORDS],
            "dropped_full": words[DROPPED_FULL],
            "dropped_big": words[DROPPED_BIG],
            "lost": self.reader.cursor.lost,
            "undecodable": self.undecodable,
            "faults": words[FAULTS],
        }

    def flushed_through(self, open_part: Optional[Part]) -> int:
        """The position before which every window has settled; ``open_part`` is ours in the open one."""
        if self.unsettled:
            return self.unsettled[0][1].start
        return self.committed.position if open_part is None else open_part.start

    @property
    def flush_requested(self) -> int:
        """The position up to which the worker wants a delivery attempt; never beyond what it has published."""
        return min(self.file.words[FLUSH_REQUESTED], self.file.words[TAIL])

    def wants_flush(self) -> bool:
        """A flush was asked for that was not seen before."""
        return self.file.words[FLUSHES] > self.flush_seen

    def drain(self, max_bytes: int) -> list[Record]:
        """The next records; what cannot be read any more is kept for diagnosis and counted."""
        records = self.reader.drain(max_bytes, owner_gone=self.owner_gone)
        if self.reader.quarantined is not None:
            logger.warning("ring %s: %d unreadable bytes given up", self.name, len(self.reader.quarantined))
        return records


class Rings:
    """Every ring of ``directory``."""

    def __init__(self, directory: str, cursors: dict[str, Cursor], diagnosis_dir: str) -> None:
        self.sources: dict[str, Source] = {}
        self.refused: dict[str, str] = {}
        """File name and reason of what looks like a ring and is none."""
        self.discarded = 0
        """Rings of an earlier boot of the machine."""
        self._directory = directory
        self._cursors = cursors
        self._diagnosis_dir = diagnosis_dir
        self._boot_id = boot_id()
        self._mtime_ns = 0
        self._scanned_at = 0.0

    def scan(self, now: float) -> list[Source]:
        """New sources since the last scan, oldest first. Looks at the directory when it changed, and once a second."""
        try:
            mtime_ns = os.stat(self._directory).st_mtime_ns
        except OSError:
            return []
        if mtime_ns == self._mtime_ns and now - self._scanned_at < RESCAN_S:
            return []
        self._mtime_ns, self._scanned_at = mtime_ns, now
        found = []
        names = os.listdir(self._directory)
        self.refused = {name: reason for name, reason in self.refused.items() if name in names}
        for name in names:
            if name.startswith(UNFINISHED_PREFIX):
                with contextlib.suppress(OSError):
                    abandon_unfinished(os.path.join(self._directory, name), UNFINISHED_S)
            elif name.startswith(RING_PREFIX) and name[len(RING_PREFIX) :] not in self.sources:
                source = self._open(name)
                if source is not None:
                    self.sources[source.name] = source
                    found.append(source)
        return sorted(found, key=lambda source: source.file.header.created_at_ns)

    def probe_owners(self) -> None:
        """Find out whose owner is gone. Cheap: one flock per live ring."""
        for source in self.sources.values():
            if not source.owner_gone:
                source.owner_gone = source.file.owner_gone()

    def probe_closed(self) -> None:
        """The same for rings whose owner has said goodbye."""
        for source in self.sources.values():
            if not source.owner_gone and source.file.words[CLOSED]:
                source.owner_gone = source.file.owner_gone()

    def reap(self, source: Source) -> None:
        """Remove a drained and committed ring of a dead owner."""
        del self.sources[source.name]
        with contextlib.suppress(OSError):
            os.unlink(source.file.path)
        source.file.close()

    def keep_for_diagnosis(self, source: Source) -> None:
        """Write what a ring gave up to a bounded file in the state directory."""
        quarantined, source.reader.quarantined = source.reader.quarantined, None
        if quarantined is None:
            return
        with contextlib.suppress(OSError):
            path = os.path.join(self._diagnosis_dir, "quarantine.bin")
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, quarantined)
            finally:
                os.close(fd)

    def _open(self, name: str) -> Optional[Source]:
        path = os.path.join(self._directory, name)
        try:
            file = open_ring(path)
        except FileNotFoundError:
            return None
        except (BadRing, OSError, ValueError) as exc:
            self._refuse(name, str(exc))
            return None
        try:
            if file.header.boot_id != self._boot_id:
                self._discard(file)
                return None
            registration = session.decode(file.session_block)
        except (BadRing, msgspec.MsgspecError) as exc:
            self._refuse(name, str(exc))
            file.close()
            return None
        self.refused.pop(name, None)
        return Source(file, registration, self._cursor_of(file))

    def _cursor_of(self, file: RingFile) -> Cursor:
        head = file.words[HEAD]
        cursor = self._cursors.pop(file.header.name, None)
        if cursor is not None:
            return cursor
        return Cursor(head, UNKNOWN if head else 0)

    def _refuse(self, name: str, reason: str) -> None:
        if self.refused.get(name) != reason:
            self.refused[name] = reason
            logger.warning("a file in the runtime directory is no ring and is skipped: %s: %s", name, reason)

    def _discard(self, file: RingFile) -> None:
        """A ring of an earlier boot: the commits that go with it may be forgotten, so counting it could double."""
        self.discarded += 1
        logger.warning("a ring of an earlier boot is discarded: %s", file.path)
        with contextlib.suppress(OSError):
            os.unlink(file.path)
        file.close()


def now_ms() -> int:
    """Wall clock, ms since the epoch."""
    return time.time_ns() // 1_000_000
