"""How far the spool was when it was last seen, in memory: a disk can be made to forget what was committed.

A spool behind its mark is damaged, whatever it says of itself.  Going on with it would count events again and send
windows again; so it is moved aside, and what the mark says was in it is lost, counted and told.  The mark lies in the
runtime directory and goes with it at a reboot: what a power cut made the spool forget, the rings have forgotten too.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import zlib
from typing import NamedTuple, Optional, Union

from recost.system import CLOSELY, allocate

WORDS = 6
COMMITS, CHECK, FRAMES, CALLS, DEVICE, INODE = range(WORDS)
WORD_MASK = (1 << 64) - 1
CONDEMNED = (1 << 63) - 1
"""No spool gets so far."""
ANY_FILE = (0, 0)


class Marked(NamedTuple):
    """What was in the spool."""

    commits: int = 0
    frames: int = 0
    """Windows that waited or were parked."""
    calls: int = 0
    """In open windows."""
    file: tuple[int, int] = ANY_FILE
    """Device and inode of the spool: another file has another past."""


class Mark:
    """Of the spool in ``spool_directory``. The leader's alone."""

    def __init__(self, runtime: str, spool_directory: str) -> None:
        self._path = os.path.join(runtime, f"mark-{zlib.crc32(os.fsencode(spool_directory)):08x}")
        self._words: Union[memoryview, list[int]] = [0] * WORDS
        self._memory: Optional[mmap.mmap] = None
        with contextlib.suppress(OSError):  # no room: then only what the spool says of itself counts
            self._memory = self._map()
            self._words = memoryview(self._memory).cast("Q")

    def read(self) -> Marked:
        """What was noted last; zeros when nothing was, or another program wrote over it."""
        commits, check, frames, calls, *file = self._words[:WORDS]
        return Marked(commits, frames, calls, (file[0], file[1])) if check == commits ^ WORD_MASK else Marked()

    def note(self, marked: Marked) -> None:
        """After a commit."""
        words = self._words
        words[FRAMES], words[CALLS], (words[DEVICE], words[INODE]) = marked.frames, marked.calls, marked.file
        words[COMMITS], words[CHECK] = marked.commits, marked.commits ^ WORD_MASK

    def condemn(self, file: tuple[int, int]) -> None:
        """The spool cannot be used any more: the next leader must not try."""
        words = self._words
        words[DEVICE], words[INODE] = file
        words[COMMITS], words[CHECK] = CONDEMNED, CONDEMNED ^ WORD_MASK

    def remove(self) -> None:
        """Nothing is in the spool: there is nothing to miss."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def close(self) -> None:
        """Let go of it. It stays where it is."""
        memory, self._memory = self._memory, None
        if memory is not None and isinstance(self._words, memoryview):
            self._words.release()
            memory.close()
            self._words = [0] * WORDS

    def _map(self) -> mmap.mmap:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | CLOSELY, 0o600)
        try:
            if os.fstat(fd).st_size < 8 * WORDS:
                allocate(fd, 8 * WORDS)
            return mmap.mmap(fd, 8 * WORDS)
        finally:
            os.close(fd)


def is_behind(marked: Marked, commits: int, file: tuple[int, int], *, is_new: bool) -> bool:
    """Whether a spool with so many commits has lost some of those that were noted.

    A new one has not: the old one was adopted by another collector, or removed by somebody who meant it.
    """
    if marked.file == ANY_FILE:
        return commits < marked.commits
    return not is_new and file == marked.file and commits < marked.commits
