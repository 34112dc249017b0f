"""Ring files: made whole or not at all, recognised, and known to be alive by a lock.

Making one: private temporary name, allocate, lock, header, rename.  So a name that a reader may open is a
ring whose bytes exist (no SIGBUS on a full tmpfs) and whose owner holds the lock.  The lock is ``flock`` on a
descriptor of its own: fcntl's record locks vanish when any descriptor of the file is closed, and Python's mmap
keeps one; a forked child drops its copy of this one with a single close.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import time
import zlib
from typing import NamedTuple

from recost.paths import boot_id, pid_namespace, process_start
from recost.ring.layout import (
    HEADER_WORDS,
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

RING_PREFIX = "ring-"
UNFINISHED_PREFIX = "new-"
SHARE_OF_FREE = 64
"""A ring takes at most this part of what is free: hundreds of workers fit into a container's 64 MB."""


class RingFile(NamedTuple):
    """One mapped ring."""

    path: str
    header: Header
    memory: mmap.mmap
    words: memoryview
    data: memoryview
    lock_fd: int
    """Owner: holds the flock for life. Reader: an unlocked descriptor to probe it with."""

    @property
    def session_block(self) -> bytes:
        """The registration as the worker wrote it. Raises ``BadRing`` when its checksum is wrong."""
        block = bytes(self.memory[SESSION_BLOCK : SESSION_BLOCK + self.header.session_bytes])
        if zlib.crc32(block) != self.header.session_crc:
            raise BadRing("the session block's checksum is wrong")
        return block

    def owner_gone(self) -> bool:
        """True when nobody holds the lock. Then we do, and the ring is ours to reap."""
        return _try_lock(self.lock_fd)

    def close(self) -> None:
        """Unmap and close; for the owner this also lets the lock go."""
        self.words.release()
        self.data.release()
        self.memory.close()
        os.close(self.lock_fd)


def create_ring(directory: str, session_block: bytes, wanted_capacity: int) -> RingFile:
    """A new ring of this process in ``directory``, smaller than wanted where space is short.

    Raises ``OSError`` when nothing of at least ``MIN_CAPACITY`` fits.
    """
    capacity = _affordable(directory, wanted_capacity)
    while True:
        try:
            return _create(directory, session_block, capacity)
        except OSError as exc:
            if exc.errno not in (errno.ENOSPC, errno.EDQUOT) or capacity <= MIN_CAPACITY:
                raise
            capacity //= 2


def open_ring(path: str) -> RingFile:
    """Map somebody's ring for reading. Raises ``BadRing`` for a file that is none, ``OSError`` if it is gone."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise BadRing("no regular file of this user")
        header = unpack_header(os.pread(fd, HEADER_WORDS * WORD, 0), found.st_size)
        return _map(path, header, fd, fd)
    except BaseException:
        os.close(fd)
        raise


def abandon_unfinished(path: str, older_than_s: float) -> bool:
    """Remove the temporary file of a worker that died while making its ring. True when it is gone."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    try:
        if time.time() - os.fstat(fd).st_mtime < older_than_s or not _try_lock(fd):
            return False
        os.unlink(path)
    except FileNotFoundError:
        return True
    finally:
        os.close(fd)
    return True


def _affordable(directory: str, wanted: int) -> int:
    space = os.statvfs(directory)
    limit = max(space.f_bavail * space.f_frsize // SHARE_OF_FREE, MIN_CAPACITY)
    return min(wanted, 1 << (limit.bit_length() - 1))


def _create(directory: str, session_block: bytes, capacity: int) -> RingFile:
    ring_id = os.urandom(16)
    unfinished = os.path.join(directory, UNFINISHED_PREFIX + ring_id.hex())
    path = os.path.join(directory, RING_PREFIX + ring_id.hex())
    header = Header(
        capacity=capacity,
        data_offset=data_offset(len(session_block)),
        session_bytes=len(session_block),
        session_crc=zlib.crc32(session_block),
        ring_id=ring_id,
        boot_id=boot_id(),
        pid=os.getpid(),
        process_start=process_start(os.getpid()),
        pid_namespace=pid_namespace(),
        created_at_ns=time.time_ns(),
    )
    lock_fd = -1
    fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _allocate(fd, header.file_bytes)
        lock_fd = os.open(unfinished, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ring = _map(path, header, fd, lock_fd)
        ring.memory[SESSION_BLOCK : SESSION_BLOCK + len(session_block)] = session_block
        ring.memory[: HEADER_WORDS * WORD] = pack_header(header)
        os.rename(unfinished, path)
    except BaseException:
        _discard(unfinished, lock_fd)
        raise
    finally:
        os.close(fd)
    return ring


def _map(path: str, header: Header, fd: int, lock_fd: int) -> RingFile:
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    memory = mmap.mmap(fd, header.file_bytes, flags=flags)
    view = memoryview(memory)
    return RingFile(
        path=path,
        header=header,
        memory=memory,
        words=view[: 2 * PAGE].cast("Q"),
        data=view[header.data_offset : header.file_bytes],
        lock_fd=lock_fd,
    )


def _allocate(fd: int, size: int) -> None:
    """Real blocks behind every byte: a hole in a full tmpfs would be a SIGBUS at a store."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.pwrite(fd, bytes(size), 0)


def _discard(path: str, lock_fd: int) -> None:
    if lock_fd >= 0:
        os.close(lock_fd)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
