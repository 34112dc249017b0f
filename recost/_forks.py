"""Descriptors of which no forked child may keep a copy: a lock would be held, and a pipe open, as long as it lives.

A child that Python announces closes its copies.  So a descriptor is noted before anything is locked with it, and
opened anew when a fork came between the two.  The child of a fork that nobody announced closes what it knows of with
its first call.

State: ``_noted`` (whoever opens) and ``_steps`` (the hooks, in the thread that forks).
"""

from __future__ import annotations

import contextlib
import os
from typing import Callable

from recost.system import at_fork

_noted: dict[int, tuple[int, int, int]] = {}
"""By number: device and inode, for the number may be another file's by now, and the pid of who opened it."""
_steps = 0
"""Grows before and after each fork, so that who opens something meanwhile sees that there was one."""


def open_unshared(open_files: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """What ``open_files`` gives, and no child has a copy of it. Lock it after this, not in ``open_files``."""
    while True:
        steps = _steps
        fds = open_files()
        for fd in fds:
            found = os.fstat(fd)
            _noted[fd] = (found.st_dev, found.st_ino, os.getpid())
        if steps == _steps:
            return fds
        for fd in fds:
            _noted.pop(fd, None)
            os.close(fd)


def close_copies() -> None:
    """In a forked child: what its ancestors have opened. Never raises, and closes nothing of its own. Any thread."""
    for fd, noted in list(_noted.items()):
        device, inode, pid = noted
        if pid == os.getpid() or _noted.get(fd) is not noted:  # the latter: another thread has closed it just now
            continue
        _noted.pop(fd, None)
        with contextlib.suppress(OSError):
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) == (device, inode):
                os.close(fd)


def _step() -> None:
    global _steps  # noqa: PLW0603 - what the hooks are for
    _steps += 1


at_fork(before=_step, after_in_parent=_step)
