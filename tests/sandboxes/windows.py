"""What Windows has not is taken away from this interpreter, and what it has instead is given: as far as that goes here.

A file that is open or mapped in this process can be neither removed nor renamed nor renamed over, directories cannot be
opened, a lock is on a byte and of one descriptor alone, and files have neither owner nor mode.
"""

from __future__ import annotations

import builtins
import errno
import importlib
import mmap
import os
import select
import shutil
import signal
import stat
import sys
import types
from typing import Any, Callable

# They find out by ``os.name`` where they are, and that still says what is true.
NOT_OURS = (
    *("asyncio", "concurrent.futures.process", "filelock", "multiprocessing.pool", "shutil", "sqlite3", "subprocess"),
    *("tempfile", "urllib3"),
)
MODULES = ("fcntl", "grp", "posix", "pwd", "resource", "termios", "_posixsubprocess")
NAMES: dict[Any, tuple[str, ...]] = {
    os: (
        *("fork", "forkpty", "register_at_fork", "posix_spawn", "posix_spawnp", "waitid", "wait3", "wait4", "setsid"),
        *("killpg", "getpgid", "setpgid", "nice", "sched_yield", "sched_getaffinity", "pidfd_open", "WNOHANG"),
        *("geteuid", "getuid", "getegid", "getgid", "getgroups", "setuid", "setgid", "uname", "getloadavg"),
        *("mkfifo", "mknod", "statvfs", "fstatvfs", "posix_fallocate", "posix_fadvise", "pread", "pwrite", "preadv"),
        *("fchmod", "chown", "fchown", "lchown", "fdatasync", "sendfile", "openpty", "ttyname", "sysconf", "O_SYNC"),
        *("O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "O_NONBLOCK", "O_NOCTTY", "O_PATH", "get_blocking", "set_blocking"),
    ),
    signal: (
        *("SIGUSR1", "SIGUSR2", "SIGBUS", "SIGALRM", "SIGHUP", "SIGKILL", "SIGCHLD", "SIGPIPE", "SIGSTOP", "SIGCONT"),
        *("setitimer", "getitimer", "alarm", "pause", "pthread_sigmask", "pthread_kill", "sigwait", "ITIMER_REAL"),
        *("SIG_BLOCK", "pidfd_send_signal"),
    ),
    select: ("poll", "epoll"),
    mmap: ("MAP_SHARED", "MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_ANON", "MAP_POPULATE", "MADV_DONTFORK"),
}


def enter(*, locks: bool) -> None:
    """From here on. Without ``locks`` not even Windows' own."""
    for name in NOT_OURS:
        importlib.import_module(name)
    if locks:
        _give_locks()
        _spare_filelock()
    free = os.statvfs
    usage = type(shutil.disk_usage("/"))
    shutil.disk_usage = lambda path: usage(0, 0, free(path).f_bavail * free(path).f_frsize)  # type: ignore[assignment]
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # which is how an import is refused
    for module, names in NAMES.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    _hold_open_files()
    _hide_owners()


def _give_locks() -> None:
    """``msvcrt`` over ``flock``, which is of one open file alone, too."""
    import fcntl

    module = types.ModuleType("msvcrt")
    operations = {1: fcntl.LOCK_EX | fcntl.LOCK_NB, 2: fcntl.LOCK_UN}

    def locking(fd: int, mode: int, _bytes: int) -> None:
        try:
            fcntl.flock(fd, operations[mode])
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    vars(module).update(locking=locking, LK_NBLCK=1, LK_UNLCK=2)
    sys.modules["msvcrt"] = module


def _spare_filelock() -> None:
    """It has means of its own there; here it goes on with those that it has here."""
    own = types.ModuleType("os")
    vars(own).update(vars(os))
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "filelock" and hasattr(module, "os"):
            module.os = own  # type: ignore[attr-defined]


def _hold_open_files() -> None:
    def guarded(original: Callable[..., None], *places: int) -> Callable[..., None]:
        def call(*args: Any, **kwargs: Any) -> None:
            for place in places:
                _require_closed(args[place])
            original(*args, **kwargs)

        return call

    def rename(source: Any, target: Any) -> None:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", target)
        replace(source, target)

    replace = guarded(os.replace, 0, 1)
    original_open = os.open

    def open_file(path: Any, flags: int, mode: int = 0o777, **kwargs: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return original_open(path, flags, mode, **kwargs)

    os.open = open_file  # type: ignore[assignment]
    os.unlink = os.remove = guarded(os.unlink, 0)  # type: ignore[assignment]
    os.replace, os.rename = replace, rename  # type: ignore[assignment]


def _require_closed(path: Any) -> None:
    """Also not by another process, which is not looked at."""
    found = os.path.realpath(path)
    taken = {os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")}
    with builtins.open("/proc/self/maps", encoding="utf-8") as maps:
        taken |= {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}
    if found in taken:
        raise PermissionError(errno.EACCES, "it is being used by another process", path)


class _Blurred:
    """A result of ``stat`` without owner and mode. CPython 3.12 crashes while it makes such a result of numbers."""

    def __init__(self, exact: os.stat_result) -> None:
        self._exact = exact
        self.st_mode = stat.S_IFMT(exact.st_mode) | 0o777
        self.st_uid = self.st_gid = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exact, name)


def _hide_owners() -> None:
    """As they are told there: user 0, and everybody may do everything."""

    def blurred(original: Callable[..., os.stat_result]) -> Callable[..., Any]:
        return lambda *args, **kwargs: _Blurred(original(*args, **kwargs))

    os.stat, os.lstat, os.fstat = blurred(os.stat), blurred(os.lstat), blurred(os.fstat)
    assert os.stat("/").st_mode & 0o777 == 0o777
