"""Start a collector as nobody's child, from a worker that may be in any state.

The worker holds the spawn lock and hands its descriptor on; the collector frees the lock once it leads.  The
interpreter is started with ``posix_spawn`` (no Python code runs in a forked copy of the application), forks once
before it imports anything and lets the middle process end, so that an application that waits for children of its
own does not meet it for longer than an interpreter takes to start.  No key is in arguments or environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import signal
import sys
from typing import NamedTuple, Optional

from recost.leader import SPAWN_LOCK, has_leader, open_lock, try_lock, unlock
from recost.paths import absolute

SPAWN_FD = 3
"""Where the collector finds the spawn lock."""
NEEDED = ("recost", "recost_collector", "msgspec", "filelock", "urllib3", "websockets")


class Spawned(NamedTuple):
    """A start under way: the middle process, and our copy of the spawn lock."""

    pid: int
    lock_fd: int
    owner_pid: int

    def reap(self) -> bool:
        """True when the middle process is gone; takes its exit code from the kernel without waiting."""
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # the application waited for all its children and got this one too
            return True

    def release(self) -> None:
        """Give up the spawn lock. A forked child only closes its copy: the lock is not its to free."""
        if os.getpid() == self.owner_pid:
            with contextlib.suppress(OSError):
                unlock(self.lock_fd)
        with contextlib.suppress(OSError):
            os.close(self.lock_fd)


class SpawnLock:
    """The right to look for a leader and to start one. ``taken`` is False when another worker has it."""

    def __init__(self, directory: str) -> None:
        fd = open_lock(directory, SPAWN_LOCK)
        # Above the low numbers, for posix_spawn puts it at SPAWN_FD and the two must differ.
        self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16)
        os.close(fd)
        self.directory = directory
        self.taken = try_lock(self.fd)

    def release(self) -> None:
        if self.taken:
            unlock(self.fd)
        os.close(self.fd)


def start_collector(directory: str) -> Optional[Spawned]:
    """Start a collector for ``directory`` unless one leads or is being started: then None.

    Raises ``OSError`` when no process can be started.
    """
    lock = SpawnLock(directory)
    if not lock.taken or has_leader(directory):
        lock.release()
        return None
    return spawn(lock)


def spawn(lock: SpawnLock) -> Spawned:
    """Start a collector with the lock in hand. The lock is released by the collector, or on ``OSError`` here."""
    try:
        pid = _spawn(lock)
    except BaseException:
        lock.release()
        raise
    return Spawned(pid, lock.fd, os.getpid())


def _spawn(lock: SpawnLock) -> int:
    interpreter = find_interpreter()
    launcher = importlib.util.find_spec("recost_collector")
    if interpreter is None or launcher is None or launcher.origin is None:
        raise FileNotFoundError(
            f"no Python interpreter, or no package recost_collector: sys.executable={sys.executable}"
        )
    script = os.path.join(os.path.dirname(launcher.origin), "launch.py")
    argv = [interpreter, "-I", "-S", "-B", script, lock.directory, *import_paths()]
    return os.posix_spawn(
        interpreter,
        argv,
        _environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, lock.fd, SPAWN_FD),
        ],
        setsigmask=[],
        setsigdef=_DEFAULTED,
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}
    # Relative ones mean our working directory, and the collector has another.
    given = {name: os.environ[name].strip() for name in _DIRECTORIES if os.environ.get(name, "").strip()}
    return {**kept, **{name: absolute(path) for name, path in given.items()}}


def find_interpreter() -> Optional[str]:
    """A Python to run the collector with: under uWSGI ``sys.executable`` is the uwsgi binary."""
    base = str(getattr(sys, "_base_executable", ""))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    places = [
        sys.executable,
        *(os.path.join(sys.prefix, "bin", name) for name in (f"python{version}", "python3")),
        base,
    ]
    for path in places:
        if path and os.path.basename(path).startswith(("python", "pypy")) and os.access(path, os.X_OK):
            return path
    return None


def import_paths() -> list[str]:
    """The folders that the collector's imports come from, as this process finds them."""
    found: list[str] = []
    for package in NEEDED:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        is_package = spec.submodule_search_locations is not None
        folder = os.path.dirname(os.path.abspath(spec.origin))
        folder = os.path.dirname(folder) if is_package else folder
        if folder not in found:
            found.append(folder)
    return found


# The collector decides by the environment where its own state lies; everything about destinations comes through
# the rings, for two workers may differ.  No RECOST_API_KEY.
_KEPT_VARIABLES = frozenset({"HOME", "PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH"})
_DIRECTORIES = ("RECOST_STATE_DIR", "RECOST_RUNTIME_DIR", "RECOST_LOCAL_DIR")
_DEFAULTED = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
