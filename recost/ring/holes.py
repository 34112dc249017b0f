"""Holes in a ring file that somebody else made: where the file system is full, a mere look at one is a SIGBUS.

Ours have none: whoever makes a ring allocates it.
"""

from __future__ import annotations

import os

from recost._mounts import file_system, read_mountinfo

BLOCK_BYTES = 512
"""Of ``st_blocks``, everywhere."""
FILLING = frozenset({"tmpfs", "ext4", "xfs", "btrfs", "f2fs"})
"""They allocate without touching what is there.  Elsewhere libc writes zeros, amid the stores of the ring's owner; and
where files are compressed, a whole one may seem to have holes."""


def fill_holes(fd: int, path: str, size: int) -> None:
    """Put memory behind the first ``size`` bytes of ``path``, open as ``fd``. Raises ``OSError`` without room."""
    if not hasattr(os, "posix_fallocate") or os.fstat(fd).st_blocks * BLOCK_BYTES >= size:
        return
    if file_system(os.path.realpath(path), read_mountinfo()) in FILLING:
        os.posix_fallocate(fd, 0, size)
