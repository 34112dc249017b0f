"""The rings of a runtime directory: found, drained in turn, and reaped when their owner is gone.

Anything wrong with one file sets that one aside, counted and told; it never ends the collector.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from typing import Optional

from recost import session
from recost.event import UNDECODABLE
from recost.origins import boot_id
from recost.ring.files import RING_PREFIX, UNFINISHED_PREFIX, RingFile, abandon_unfinished, open_ring
from recost.ring.layout import CLOSED, HEAD, NOTICES, TAIL, BadRing
from recost.ring.reader import UNKNOWN, Cursor
from recost.system import CLOSELY
from recost_collector.finished import Finished
from recost_collector.source import END, Source

RESCAN_S = 1.0
CLOCK_TICK_NS = 20_000_000
"""Of a file system's times, at the most: of two changes within it the second does not show."""
UNFINISHED_S = 10.0
"""Age at which the temporary file of a worker that died while making its ring is removed."""
MOST = (1 << 63) - 1
NONSENSE = "its positions are beyond what any ring reaches"
SHORT_OF_FILES = (errno.EMFILE, errno.ENFILE)

logger = logging.getLogger("recost_collector")


class Rings:
    """Every ring of ``directory``."""

    def __init__(self, directory: str, cursors: dict[str, Cursor], diagnosis_dir: str) -> None:
        self.sources: dict[str, Source] = {}
        self.refused: dict[str, str] = {}
        """File name and reason of what looks like a ring and is none."""
        self.discarded = 0
        """Rings of an earlier boot of the machine."""
        self._directory = directory
        self.finished = Finished(directory, cursors)
        self._cursors = cursors
        self._diagnosis_dir = diagnosis_dir
        self._boot_id = boot_id()
        self._mtime_ns = 0
        self._scanned_at = 0.0
        self._is_short_of_files = False

    def scan(self, now: float) -> list[Source]:
        """New sources since the last scan, oldest first. Looks at the directory when it changed, and once a second."""
        self._set_nonsense_aside()
        names = self._list(now)
        if not names:
            return []
        for follower in self.sources.values():
            follower.follow()
        found = []
        self.refused = {name: reason for name, reason in self.refused.items() if name in names}
        for name in names:
            if name.startswith(UNFINISHED_PREFIX):
                with contextlib.suppress(OSError):
                    abandon_unfinished(os.path.join(self._directory, name), UNFINISHED_S)
            elif self._is_new(name):
                source = self._open(name)
                if source is not None:
                    self.sources[source.name] = source
                    found.append(source)
        return sorted(found, key=lambda source: source.file.header.created_at_ns)

    def _list(self, now: float) -> frozenset[str]:
        """The names in the directory; none when it is not the time."""
        try:
            mtime_ns = os.stat(self._directory).st_mtime_ns
            if mtime_ns == self._mtime_ns and now - self._scanned_at < RESCAN_S:
                return frozenset()
            names = frozenset(os.listdir(self._directory))
        except OSError:  # it is gone, or no descriptor is left for it; the next turn looks again
            return frozenset()
        may_change_unseen = abs(time.time_ns() - mtime_ns) < CLOCK_TICK_NS
        self._mtime_ns, self._scanned_at = 0 if may_change_unseen else mtime_ns, now
        return names

    def probe_owners(self) -> None:
        """Find out whose owner is gone. Cheap: one flock per live ring."""
        for source in self.sources.values():
            source.find_out_owner()

    def probe_closed(self) -> None:
        """The same for rings whose owner has said goodbye."""
        for source in self.sources.values():
            if source.file.words[CLOSED]:
                source.find_out_owner()

    def put_last(self, source: Source) -> None:
        """It had its turn: the others come before it."""
        self.sources[source.name] = self.sources.pop(source.name)

    def reap(self, source: Source) -> None:
        """Remove a ring that is committed as finished."""
        del self.sources[source.name]
        self.finished.add(source.name)
        source.file.close()

    def close(self) -> None:
        """Let go of every ring. They stay where they are."""
        while self.sources:
            self.sources.popitem()[1].file.close()

    def keep_for_diagnosis(self, source: Source) -> None:
        """Write what a ring gave up to a bounded file in the state directory."""
        quarantined, source.reader.quarantined = source.reader.quarantined, None
        if quarantined is None:
            return
        with contextlib.suppress(OSError):
            path = os.path.join(self._diagnosis_dir, "quarantine.bin")
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CLOSELY, 0o600)
            try:
                os.write(fd, quarantined)
            finally:
                os.close(fd)

    def _is_new(self, file_name: str) -> bool:
        name = file_name[len(RING_PREFIX) :]
        return file_name.startswith(RING_PREFIX) and name not in self.sources and name not in self.finished

    def _open(self, name: str) -> Optional[Source]:
        path = os.path.join(self._directory, name)
        try:
            file = open_ring(path)
        except FileNotFoundError:
            return None
        except (BadRing, OSError, ValueError) as exc:
            self._cannot_open(name, exc)
            return None
        try:
            if name != RING_PREFIX + file.header.name:  # its end must not be taken for that of the ring it was made of
                raise BadRing("a copy of another ring")
            _check_words(file)
            if file.header.boot_id != self._boot_id:
                self._discard(file)
                return None
            registration = session.decode(file.session_block)
        except (BadRing, *UNDECODABLE) as exc:
            self._refuse(name, str(exc))
            file.close()
            return None
        self.refused.pop(name, None)
        self._is_short_of_files = False
        return Source(file, registration, self._cursor_of(file))

    def _cursor_of(self, file: RingFile) -> Cursor:
        cursor = self._cursors.pop(file.header.name, None)
        return _cursor_by_head(file) if cursor is None else cursor

    def _cannot_open(self, name: str, exc: Exception) -> None:
        if not isinstance(exc, OSError) or exc.errno not in SHORT_OF_FILES:
            self._refuse(name, str(exc))
        elif not self._is_short_of_files:  # nothing is wrong with the ring: the next scan tries again
            self._is_short_of_files = True
            logger.warning("a ring cannot be opened now, raise the limit of open files: %s", exc)

    def _set_nonsense_aside(self) -> None:
        for source in [source for source in self.sources.values() if source.is_nonsense]:
            self._refuse(RING_PREFIX + source.name, NONSENSE)
            del self.sources[source.name]
            source.file.close()

    def _refuse(self, name: str, reason: str) -> None:
        if self.refused.get(name) != reason:
            self.refused[name] = reason
            logger.warning("a file in the runtime directory is skipped: %s: %s", name, reason)

    def _discard(self, file: RingFile) -> None:
        """A ring of an earlier boot: the commits that go with it may be forgotten, so counting it could double."""
        self.discarded += 1
        logger.warning("a ring of an earlier boot is discarded: %s", file.path)
        self.finished.add(file.header.name)
        file.close()


def _cursor_by_head(file: RingFile) -> Cursor:
    """Where to begin in a ring that the spool knows nothing of: where somebody else has stopped."""
    head, tail = file.words[HEAD], file.words[TAIL]
    if 0 <= tail - head <= file.header.capacity:
        return Cursor(head, UNKNOWN if head else 0)
    # Another program wrote over the head: nobody of ours has met this ring.
    return Cursor(0, 0) if tail <= file.header.capacity else Cursor(tail, 0)


def _check_words(file: RingFile) -> None:
    """What only a worker gone wrong writes: refused where it is its own, put right where it is ours."""
    if file.words[TAIL] >= END:
        raise BadRing(NONSENSE)
    if file.words[NOTICES] > MOST:
        file.words[NOTICES] = 0
