"""What the loop sleeps on: a pipe in the runtime directory that workers, couriers and signals can write to.

Where pipes have no names, couriers alone can end its sleep; a worker that asks for a flush waits for the next turn.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import threading
from typing import Union

from recost.leader import WAKE
from recost.system import AT_ONCE, CLOSELY

DRAIN_BYTES = 4096


class Wake:
    """``wait`` returns early when somebody has called. Made by the leader alone."""

    def __init__(self, directory: str) -> None:
        path = os.path.join(directory, WAKE)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # a predecessor's, or something that is no pipe
        os.mkfifo(path, 0o600)
        # Open for both ends, so that it never reads as closed and a worker's open never fails while we live.
        self._fd = os.open(path, os.O_RDWR | AT_ONCE | CLOSELY)
        self._path = path
        self._made = os.fstat(self._fd)

    @property
    def is_ours(self) -> bool:
        """False once the program that we are a thread of has closed it, with all else that it found open."""
        try:
            return os.path.samestat(os.fstat(self._fd), self._made)
        except OSError:
            return False

    @property
    def fd(self) -> int:
        """For ``signal.set_wakeup_fd``."""
        return self._fd

    def call(self) -> None:
        """Any thread, also a signal handler: make ``wait`` return."""
        with contextlib.suppress(OSError):  # full: it returns anyway; closed: nobody waits any more
            os.write(self._fd, b"\0")

    def wait(self, timeout_s: float) -> None:
        """Sleep until somebody calls, at most ``timeout_s``."""
        if _is_readable(self._fd, max(0.0, timeout_s)):
            with contextlib.suppress(OSError):
                os.read(self._fd, DRAIN_BYTES)

    def close(self) -> None:
        """Remove the pipe, so that a worker's look finds nobody; a successor's, after a lost lead, stays."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(self._path), os.fstat(self._fd)):
                os.unlink(self._path)
        os.close(self._fd)


class Bell:
    """The same within a process, for want of a pipe."""

    is_ours = True

    def __init__(self) -> None:
        self._called = threading.Event()

    def call(self) -> None:
        self._called.set()

    def wait(self, timeout_s: float) -> None:
        self._called.wait(max(0.0, timeout_s))
        self._called.clear()

    def close(self) -> None:
        """Nothing to do."""


def open_wake(directory: str) -> Union[Wake, Bell]:
    """For the leader of ``directory``."""
    return Wake(directory) if hasattr(os, "mkfifo") else Bell()


def _is_readable(fd: int, timeout_s: float) -> bool:
    """``select`` cannot take a descriptor from 1024 on, and a server's process may have used those up."""
    if not hasattr(select, "poll"):
        return bool(select.select([fd], [], [], timeout_s)[0])
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(math.ceil(timeout_s * 1000)))
