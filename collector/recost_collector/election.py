"""One collector per runtime directory: the leader lock, and the lock of the spool that goes with it."""

from __future__ import annotations

import contextlib
import inspect
import os
import time
from typing import Optional

from filelock import FileLock, Timeout

from recost.leader import LEADER_LOCK, open_lock
from recost.system import FIRST_BYTE, try_lock, unlock

PROBE_PATIENCE_S = 0.5
"""A worker that looks for a leader holds the lock for an instant; we try again rather than give up."""


class Election:
    """The leader lock of ``directory``. Held until ``resign`` or the end of the process."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, LEADER_LOCK)
        self._directory = directory
        self._lock = new_file_lock(self._path)
        self._inode: Optional[tuple[int, int]] = None

    def win(self, patience_s: float = PROBE_PATIENCE_S) -> bool:
        """Take the lock, trying for ``patience_s``. False: another collector leads."""
        deadline = time.monotonic() + patience_s
        while not self._try():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def still_leads(self) -> bool:
        """False when the lock's file is no longer the one at the path: then another may lead, and we must go."""
        try:
            found = os.lstat(self._path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._inode

    def resign(self) -> None:
        """Let the lock go."""
        self._inode = None
        with contextlib.suppress(OSError):
            self._lock.release(force=True)

    def _try(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        if self._lock_is_at_path():
            return True
        self._lock.release(force=True)
        return False

    def _lock_is_at_path(self) -> bool:
        """Whoever deleted the file between open and lock left us a lock on nothing: a second one shows it."""
        fd = open_lock(self._directory, LEADER_LOCK)
        try:
            if try_lock(fd, FIRST_BYTE):
                unlock(fd, FIRST_BYTE)  # closing is not enough: a fork in another thread may have made a copy just now
                return False
            found = os.fstat(fd)
            self._inode = (found.st_dev, found.st_ino)
            return True
        finally:
            os.close(fd)


def new_file_lock(path: str) -> FileLock:
    """A hard lock: the soft one, which some versions fall back to, survives a SIGKILL."""
    _paths.add(path)
    if "fallback_to_soft" in inspect.signature(FileLock.__init__).parameters:
        return FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
    return FileLock(path, mode=0o600, thread_local=False)


def abandon_locks_in_child() -> None:
    """In a forked child: close its copies of the parent's locks, so that they tell of the parent alone.

    Found by their files and not through the objects that own them: the fork may come while one is being taken.
    """
    inodes = set()
    for path in _paths:
        with contextlib.suppress(OSError):
            found = os.stat(path)
            inodes.add((found.st_dev, found.st_ino))
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else map(str, range(256)):
        with contextlib.suppress(OSError):
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) in inodes:
                os.close(int(name))


_paths: set[str] = set()
"""The lock files of this process: those it holds, and those it has tried to take."""
