"""What the loop sleeps on: a pipe in the runtime directory that workers, couriers and signals can write to."""

from __future__ import annotations

import contextlib
import math
import os
import select

from recost.leader import WAKE

DRAIN_BYTES = 4096


class Wake:
    """``wait`` returns early when somebody has called. Made by the leader alone."""

    def __init__(self, directory: str) -> None:
        path = os.path.join(directory, WAKE)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # a predecessor's, or something that is no pipe
        os.mkfifo(path, 0o600)
        # Open for both ends, so that it never reads as closed and a worker's open never fails while we live.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._path = path

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


def _is_readable(fd: int, timeout_s: float) -> bool:
    """``select`` cannot take a descriptor from 1024 on, and a server's process may have used those up."""
    if not hasattr(select, "poll"):
        return bool(select.select([fd], [], [], timeout_s)[0])
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(math.ceil(timeout_s * 1000)))
