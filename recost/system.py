"""What this system has of what recost stands on, and what stands in for the rest: nothing else asks where it runs.

Where processes cannot share rings and a collector (Windows above all: no ``flock``, no ``fork``, no pipe with a name),
each has a runtime directory and a collector of its own, on a thread.  All else is the same code, over what is here.

There a file that is open or mapped can be neither removed nor renamed: it is closed before, or tried again later.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
from collections.abc import Iterator
from typing import Any, Callable, Optional


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _flags(*names: str) -> int:
    """Those flags of ``os.open`` that exist here."""
    return sum(getattr(os, name, 0) for name in names)


fcntl = _module("fcntl")
msvcrt = _module("msvcrt")
pwd = _module("pwd")

BINARY = _flags("O_CLOEXEC", "O_BINARY")
"""For a file that may be reached by a link."""
CLOSELY = BINARY | _flags("O_NOFOLLOW")
"""How each file of ours is opened: as it is, not by way of a link, and for this program alone."""
AT_ONCE = _flags("O_NONBLOCK", "O_NOCTTY")
"""For a name that may be anything by now, a pipe that nobody writes to, too."""
DIRECTORY = _flags("O_DIRECTORY")

HAS_OWNERS = hasattr(os, "geteuid")
"""Files have a user id and a mode. Where they have none, the profile and its temp directory are the user's alone."""
MOVES_OPEN_FILES = msvcrt is None
"""A file that is open or mapped can be removed and renamed."""
FIRST_BYTE, FAR_BYTE = 0, (1 << 31) - 2
"""Which byte a lock is on, where locks are on bytes and keep others from reading these.  ``filelock`` takes the first,
so that is for its files; the far one is as far as Windows' C library reaches."""


def lacking() -> str:
    """What a shared collector needs and this system has not; empty: nothing, and processes share one."""
    needed = {"fcntl": fcntl is not None, "pwd": pwd is not None}
    needed.update({f"os.{name}": hasattr(os, name) for name in ("fork", "geteuid", "mkfifo", "posix_spawn")})
    return ", ".join(name for name, is_there in needed.items() if not is_there)


def has_locks() -> bool:
    """Whether files can be locked at all: without, there are no rings."""
    return fcntl is not None or msvcrt is not None


SHARES = not lacking()


def user_id() -> int:
    """The effective one; 0 where users have no number."""
    return os.geteuid() if HAS_OWNERS else 0


def is_ours(found: os.stat_result) -> bool:
    """Whether a file belongs to the effective user."""
    return not HAS_OWNERS or found.st_uid == os.geteuid()


def try_lock(fd: int, byte: int = FAR_BYTE) -> bool:
    """Lock the file for ``fd`` alone, without waiting. False: another descriptor of it has the lock.

    The lock goes with the descriptor, and with each copy of it that a fork has made.
    """
    try:
        if fcntl is None:
            _lock_byte(fd, byte, msvcrt.LK_NBLCK)
        else:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except PermissionError:  # what Windows says for it
        if fcntl is None:
            return False
        raise
    return True


def unlock(fd: int, byte: int = FAR_BYTE) -> None:
    """Free it for every copy of ``fd``, those that a concurrent fork has leaked included."""
    if fcntl is None:
        _lock_byte(fd, byte, msvcrt.LK_UNLCK)
    else:
        fcntl.flock(fd, fcntl.LOCK_UN)


def read_at(fd: int, length: int, offset: int) -> bytes:
    """One read. Where it moves the descriptor's place, nobody else may use that meanwhile."""
    if hasattr(os, "pread"):
        return os.pread(fd, length, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, length)


def allocate(fd: int, size: int) -> None:
    """Real blocks behind every byte of a new file: a hole in a full tmpfs would be a SIGBUS at a store."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.write(fd, bytes(size))


def free_bytes(directory: str) -> int:
    """What this user can still write there."""
    if hasattr(os, "statvfs"):
        space = os.statvfs(directory)
        return space.f_bavail * space.f_frsize
    import shutil  # noqa: PLC0415 - where it is needed

    return shutil.disk_usage(directory).free


def is_roomy(fd: int, spare_bytes: int, spare_files: int) -> bool:
    """Whether the file system of ``fd`` has so much left. A limit of 0 is none."""
    if not hasattr(os, "fstatvfs"):
        return True
    space = os.fstatvfs(fd)
    is_short_of_bytes = space.f_blocks and space.f_bavail * space.f_frsize < spare_bytes
    return not (is_short_of_bytes or (space.f_files and space.f_favail < spare_files))


def moved_up(fd: int, least: int) -> int:
    """The same open file under a number of ``least`` or more, where such a number is free. Closes ``fd`` for it."""
    if fcntl is None:
        return fd
    try:
        higher = int(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least))
    except OSError:  # the process has no number left for it, or may have none so high
        return fd
    os.close(fd)
    return higher


def keep_signals_from_this_thread(but: set[int]) -> None:
    """A program that takes signals with ``sigwait`` or a signalfd blocks them in the threads that it knows of."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - but)


def at_fork(
    before: Optional[Callable[[], object]] = None,
    after_in_parent: Optional[Callable[[], object]] = None,
    after_in_child: Optional[Callable[[], object]] = None,
) -> None:
    """``os.register_at_fork``, where there are forks."""
    hooks = {"before": before, "after_in_parent": after_in_parent, "after_in_child": after_in_child}
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**{name: hook for name, hook in hooks.items() if hook is not None})


def _lock_byte(fd: int, byte: int, mode: int) -> None:
    with _place_kept(fd):
        os.lseek(fd, byte, os.SEEK_SET)
        msvcrt.locking(fd, mode, 1)


@contextlib.contextmanager
def _place_kept(fd: int) -> Iterator[None]:
    before = os.lseek(fd, 0, os.SEEK_CUR)
    try:
        yield
    finally:
        os.lseek(fd, before, os.SEEK_SET)
