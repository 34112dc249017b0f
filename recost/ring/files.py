"""Ring files: made whole or not at all, recognised, and known to be alive by a lock.

Making one: private temporary name, allocate, lock, header, rename.  So a name that a reader may open is a
ring whose bytes exist (no SIGBUS on a full tmpfs) and whose owner holds the lock.  The lock is ``flock`` on a
descriptor of its own: fcntl's record locks vanish when any descriptor of the file is closed, and Python's mmap
keeps one; a forked child drops its copy of this one with a single close.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from recost._forks import open_unshared
from recost.origins import boot_id, pid_namespace, process_start
from recost.paths import make_private_dir
from recost.ring.holes import fill_holes
from recost.ring.layout import (
    HEADER_WORDS,
    MAX_SESSION_BYTES,
    MIN_CAPACITY,
    PAGE,
    SESSION_BLOCK,
    WORD,
    BadRing,
    Header,
    data_offset,
    pack_header,
    unpack_header,
)
from recost.system import (
    AT_ONCE,
    CLOSELY,
    MOVES_OPEN_FILES,
    allocate,
    free_bytes,
    is_ours,
    is_roomy,
    moved_up,
    read_at,
    try_lock,
)

RING_PREFIX = "ring-"
UNFINISHED_PREFIX = "new-"
SHARE_OF_FREE = 64
"""A ring takes at most this part of what is free: hundreds of workers fit into a container's 64 MB."""
SPARE_BYTES = 64 << 10
SPARE_FILES = 16
"""What rings leave free for the collector's own files: without it nobody would read them."""
LOW_NUMBERS = 16
"""Below it a program may expect descriptors of its own: stdio that it closed, or what it hands to a child."""
STDERR = 2

_kept: list[mmap.mmap] = []
"""Mappings of rings whose descriptors the program closed: freeing one would close whatever has its number now."""


class RingFile(NamedTuple):
    """One mapped ring."""

    path: str
    header: Header
    memory: mmap.mmap
    words: memoryview
    data: memoryview
    lock_fd: int
    """Owner: holds the flock for life. Reader: an unlocked descriptor to probe it with."""
    lock_inode: tuple[int, int]
    """Device and inode behind ``lock_fd``: the program may close it and get the number for a file of its own."""

    @property
    def session_block(self) -> bytes:
        """The registration as the worker wrote it. Raises ``BadRing`` when its checksum is wrong."""
        block = bytes(self.memory[SESSION_BLOCK : SESSION_BLOCK + self.header.session_bytes])
        if zlib.crc32(block) != self.header.session_crc:
            raise BadRing("the session block's checksum is wrong")
        return block

    def owner_gone(self) -> bool:
        """True when nobody holds the lock. Then we do, and the ring is ours to reap."""
        return try_lock(self.lock_fd)

    def lock_is_ours(self) -> bool:
        """True while ``lock_fd`` is the descriptor that we opened. Never raises."""
        try:
            return _inode(os.fstat(self.lock_fd)) == self.lock_inode
        except OSError:
            return False

    def close_lock(self) -> None:
        """Close our copy of the lock, and nothing that took its number meanwhile. Never raises."""
        if self.lock_is_ours():
            with contextlib.suppress(OSError):
                os.close(self.lock_fd)
        elif not self.memory.closed and self.memory not in _kept:
            _kept.append(self.memory)

    def remove(self) -> None:
        """Take the file away, if it is still the one at its path. Never raises."""
        with contextlib.suppress(OSError):
            if _inode(os.lstat(self.path)) == self.lock_inode:
                os.unlink(self.path)

    def close(self) -> None:
        """Unmap and close; for the owner this also lets the lock go."""
        self.words.release()
        self.data.release()
        if self.lock_is_ours():
            self.memory.close()
        self.close_lock()


def create_ring(directory: str, session_block: bytes, wanted_capacity: int) -> RingFile:
    """A new ring of this process in ``directory``, smaller than wanted where space is short.

    Raises ``OSError`` when nothing of at least ``MIN_CAPACITY`` fits, or when no collector would read such a block.
    """
    if len(session_block) > MAX_SESSION_BYTES:
        text = f"settings of {len(session_block)} bytes, want at most {MAX_SESSION_BYTES}: fewer custom_providers"
        raise OSError(errno.EFBIG, text)
    capacity = affordable(directory, wanted_capacity)
    while True:
        try:
            return _create(directory, _new_header(session_block, capacity), session_block, SESSION_BLOCK)
        except OSError as exc:
            if exc.errno not in (errno.ENOSPC, errno.EDQUOT) or capacity <= MIN_CAPACITY:
                raise
            capacity //= 2


def remake_ring(old: RingFile) -> RingFile:
    """The same ring in a new file, for its own was removed. The owner alone, once nothing is published any more.

    All positions stay: a collector goes on in it where it was, also one that never saw the old file.  The old lock
    must be held until this returns, or that file would count as a dead worker's.
    """
    directory = os.path.dirname(old.path)
    make_private_dir(directory)
    return _create(directory, old.header, old.memory[:], 0)


def open_ring(path: str) -> RingFile:
    """Map somebody's ring for reading. Raises ``BadRing`` for a file that is none, ``OSError`` if it is gone."""
    fd = os.open(path, os.O_RDWR | CLOSELY | AT_ONCE)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or not is_ours(found):
            raise BadRing("no regular file of this user")
        header = unpack_header(read_at(fd, HEADER_WORDS * WORD, 0), found.st_size)
        fill_holes(fd, path, header.file_bytes)
        return _map(path, header, fd, fd)
    except BaseException:
        os.close(fd)
        raise


def abandon_unfinished(path: str, older_than_s: float) -> bool:
    """Remove the temporary file of a worker that died while making its ring. True when it is gone."""
    try:
        fd = os.open(path, os.O_RDWR | CLOSELY | AT_ONCE)
    except FileNotFoundError:
        return True
    try:
        if time.time() - os.fstat(fd).st_mtime < older_than_s or not try_lock(fd):
            return False
        os.unlink(path)
    except FileNotFoundError:
        return True
    finally:
        os.close(fd)
    return True


def affordable(directory: str, wanted: int) -> int:
    """How large a ring in ``directory`` may become. Raises ``OSError`` when that is not there."""
    limit = max(free_bytes(directory) // SHARE_OF_FREE, MIN_CAPACITY)
    return min(wanted, 1 << (limit.bit_length() - 1))


def _new_header(session_block: bytes, capacity: int) -> Header:
    return Header(
        capacity=capacity,
        data_offset=data_offset(len(session_block)),
        session_bytes=len(session_block),
        session_crc=zlib.crc32(session_block),
        ring_id=os.urandom(16),
        boot_id=boot_id(),
        pid=os.getpid(),
        process_start=process_start(os.getpid()),
        pid_namespace=pid_namespace(),
        created_at_ns=time.time_ns(),
    )


def _create(directory: str, header: Header, contents: bytes, at: int) -> RingFile:
    """``contents`` go to offset ``at``; all else is zero, but for the header."""
    path = os.path.join(directory, RING_PREFIX + header.name)
    # Under its own name at once where it could not get it later: without a header it is no ring yet.
    unfinished = os.path.join(directory, UNFINISHED_PREFIX + header.name) if MOVES_OPEN_FILES else path
    lock_fd = -1
    fd = _open_high(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | CLOSELY)
    try:
        allocate(fd, header.file_bytes)
        _require_spare(fd)
        (lock_fd,) = open_unshared(lambda: (_open_high(unfinished, os.O_RDWR | CLOSELY),))
        if not try_lock(lock_fd):
            raise BlockingIOError(errno.EWOULDBLOCK, "another program has locked a new ring", unfinished)
        ring = _map(path, header, fd, lock_fd)
        ring.memory[at : at + len(contents)] = contents
        ring.memory[: HEADER_WORDS * WORD] = pack_header(header)
        if unfinished != path:
            os.rename(unfinished, path)
    except BaseException:
        _discard(unfinished, lock_fd)
        raise
    finally:
        os.close(fd)
    return ring


def _map(path: str, header: Header, fd: int, lock_fd: int) -> RingFile:
    memory = _map_file(fd, header.file_bytes)
    view = memoryview(memory)
    return RingFile(
        path=path,
        header=header,
        memory=memory,
        words=view[: 2 * PAGE].cast("Q"),
        data=view[header.data_offset : header.file_bytes],
        lock_fd=lock_fd,
        lock_inode=_inode(os.fstat(lock_fd)),
    )


def _map_file(fd: int, size: int) -> mmap.mmap:
    """A shared mapping. Up to Python 3.12 it keeps a descriptor of its own, at the lowest free number above stdio."""
    with _stdio_taken():
        return mmap.mmap(fd, size, **_MAPPED)


def _open_high(path: str, flags: int) -> int:
    with _stdio_taken():  # else another thread's print() could go into our file for an instant
        fd = os.open(path, flags, 0o600)
    return moved_up(fd, LOW_NUMBERS)


@contextlib.contextmanager
def _stdio_taken() -> Iterator[None]:
    """No new descriptor is 0, 1 or 2 meanwhile, in a program that closed its own. Leaves them as they were."""
    taken: list[int] = []
    try:
        while not taken or taken[-1] <= STDERR:
            taken.append(os.open(os.devnull, os.O_RDWR))
        os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _discard(path: str, lock_fd: int) -> None:
    if lock_fd >= 0:
        os.close(lock_fd)
    with contextlib.suppress(OSError):  # gone already; or it stays as what is no ring, where an open one cannot go
        os.unlink(path)


def _require_spare(fd: int) -> None:
    """After the allocation, for others may take the last at the same moment."""
    if not is_roomy(fd, SPARE_BYTES, SPARE_FILES):
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} but what the collector needs")


_MAPPED: dict[str, Any] = {}
"""Shared and writable is what a mapping is anyway."""
if hasattr(mmap, "MAP_SHARED"):
    _MAPPED["flags"] = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    if sys.version_info >= (3, 13):
        _MAPPED["trackfd"] = False
