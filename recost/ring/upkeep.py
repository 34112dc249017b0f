"""Whether a ring's file is still what its owner made, and how much of it nobody has read if it is not.

Another program may have removed it (systemd's ``RemoveIPC``, a cleaner of temp directories), cut it off or written over
it; the application may have closed our descriptor.  Only the owner's own account counts here, not what the file says.

Nothing helps against a store between the moment that a file is cut off and the next look: that is a SIGBUS.
"""

from __future__ import annotations

import collections
import contextlib
import os
import time
from typing import Literal, Optional

from recost.ring.files import RingFile
from recost.ring.layout import HEAD, BadRing, pack_header
from recost.ring.writer import Writer

Condition = Literal["sound", "removed", "overwritten", "cut off", "unlocked"]

PATIENCE_S = 0.9
"""A removed ring is made again so long after it was seen to be: a collector that found its lock removed as well has
left by then, and what it has read is marked as read."""
MAX_MARKS = 4096


class Upkeep:
    """Of one ring. ``look`` is for whoever looks after it, about once a second."""

    def __init__(self, ring: RingFile, writer: Writer, earlier: Optional[Upkeep] = None) -> None:
        """``earlier``: of the file that this one replaces."""
        self._ring = ring
        self._writer = writer
        self._header = pack_header(ring.header)
        self._removed_at = 0.0
        self._marks: collections.deque[tuple[int, int]] = collections.deque(maxlen=MAX_MARKS)
        """(position, records) published at each look, those that the collector has not come to."""
        self._read = 0
        """Records that it has surely read."""
        if earlier is not None:
            self._marks, self._read = earlier._marks, earlier._read  # noqa: SLF001 - another object of the same class

    def look(self) -> Condition:
        """How it is. What is not sound is to be replaced; a removed one is told only after a while."""
        condition = self._judge()
        if condition == "sound":
            self._mark()
        elif condition == "removed" and not self._is_long_removed():
            return "sound"
        return condition

    @property
    def unread(self) -> int:
        """How many published records nobody has read, at most."""
        return self._writer.published[1] - self._read

    def _judge(self) -> Condition:
        """The order counts: nothing may be read of a file that was cut off."""
        ring = self._ring
        try:
            found = os.fstat(ring.lock_fd)
        except OSError:
            return "unlocked"
        if (found.st_dev, found.st_ino) != ring.lock_inode:
            return "unlocked"
        if found.st_size < ring.header.file_bytes:
            return "cut off"
        if not self._is_as_made():
            return "overwritten"
        return "removed" if found.st_nlink == 0 else "sound"

    def _is_as_made(self) -> bool:
        ring = self._ring
        if ring.memory[: len(self._header)] != self._header:
            return False
        try:
            return len(ring.session_block) == ring.header.session_bytes
        except BadRing:
            return False

    def _is_long_removed(self) -> bool:
        now = time.monotonic()
        self._removed_at = self._removed_at or now
        return now - self._removed_at >= PATIENCE_S

    def _mark(self) -> None:
        published, head = self._writer.published, self._ring.words[HEAD]
        self._marks.append(published)
        if head > published[0]:
            return  # another program's: the collector writes it anew at its next turn
        with contextlib.suppress(IndexError):  # another thread looks as well
            while self._marks[0][0] <= head:
                self._read = max(self._read, self._marks.popleft()[1])
