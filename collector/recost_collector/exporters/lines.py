"""A file of whole lines that collectors append to, also several at once and each killed at any instant.

Who holds the lock is alone.  So what lies behind the last newline was left by an append that was cut off, and
its frame still waits in the spool of whoever wrote it: it is taken away, or the file would keep half a line.
Somebody else's last line without newline (an editor's) gets one.

The lock is tried, never waited for, and released with ``LOCK_UN``: that frees it for each copy of the
descriptor that a fork of this process may have made meanwhile; closing would not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

import msgspec

from recost.system import AT_ONCE, CLOSELY, MOVES_OPEN_FILES, is_ours, read_at, try_lock, unlock

NEWLINE = b"\n"
_CHUNK_BYTES = 64 << 10
_MAX_FRAGMENT_BYTES = 64 << 20
"""More than any line of ours; a longer last line is somebody else's."""
_REOPENS = 5


class LineFile:
    """The file at ``path``, made when missing, locked, ending in a newline. One thread; ``close`` when done.

    Raises ``OSError``: ``BlockingIOError`` when another process writes at this moment.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._open()

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def append(self, line: bytes) -> None:
        """Write ``line`` whole and to the disk, or take back what was written of it and raise ``OSError``."""
        start = self.size()
        written = 0
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:])
            os.fsync(self._fd)
        except OSError:
            with contextlib.suppress(OSError):  # the next to open the file takes it away
                if self.size() == start + written:
                    os.ftruncate(self._fd, start)
            raise

    def rotate(self, aside: str) -> None:
        """Move the file to ``aside``, over what is there, and go on with a new one at ``path``."""
        if MOVES_OPEN_FILES:
            os.replace(self._path, aside)
            self.close()
        else:
            with _one_at_a_time(f"{self._path}.rotating"):
                self.close()
                os.replace(self._path, aside)
        self._open()

    def close(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # closing frees it too, for want of better
                unlock(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._fd = _open_locked(self._path)
        try:
            self._end_in_newline()
        except BaseException:
            self.close()
            raise

    def _end_in_newline(self) -> None:
        size = self.size()
        start = self._last_line_start(size)
        if start == size:
            return
        if size - start <= _MAX_FRAGMENT_BYTES and _is_cut_off(read_at(self._fd, size - start, start)):
            os.ftruncate(self._fd, start)
        else:
            self.append(NEWLINE)

    def _last_line_start(self, size: int) -> int:
        """Behind the last newline; 0 without one, or when it is farther away than any line of ours is long."""
        end = size
        while end > 0 and size - end <= _MAX_FRAGMENT_BYTES:
            start = max(0, end - _CHUNK_BYTES)
            at = read_at(self._fd, end - start, start).rfind(NEWLINE)
            if at >= 0:
                return start + at + 1
            end = start
        return 0


def holds(path: str, offset: int, line: bytes) -> bool:
    """Whether the file at ``path`` has ``line`` at ``offset``. No file: no."""
    try:
        fd = os.open(path, os.O_RDONLY | CLOSELY | AT_ONCE)
    except FileNotFoundError:
        return False
    try:
        return read_at(fd, len(line), offset) == line
    finally:
        os.close(fd)


@contextlib.contextmanager
def _one_at_a_time(path: str) -> Iterator[None]:
    """For a step in which the file itself cannot be locked. ``BlockingIOError`` when another process is at it."""
    fd = _open_locked(path)
    try:
        yield
    finally:
        unlock(fd)
        os.close(fd)
        with contextlib.suppress(OSError):  # somebody else has it open by now
            os.unlink(path)


def _open_locked(path: str) -> int:
    for _ in range(_REOPENS):
        fd = _open(path)
        try:
            if not try_lock(fd):
                raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK), path)
            if _is_at(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # rotated or deleted between the two
    raise BlockingIOError(errno.EWOULDBLOCK, "the file changes all the time", path)


def _open(path: str) -> int:
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | CLOSELY | AT_ONCE, 0o600)
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and is_ours(status):
        return fd
    os.close(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    raise PermissionError(errno.EPERM, f"the file belongs to uid {status.st_uid}, not to this one", path)


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _is_cut_off(line: bytes) -> bool:
    """Begins like a window and is no JSON: a prefix of an object never is."""
    if not line.startswith(b"{"):
        return False
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return True
    return False
