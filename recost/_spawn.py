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
import time
from typing import Optional

from recost._native import native
from recost.leader import SPAWN_LOCK, has_leader, open_lock, try_lock, unlock
from recost.paths import absolute

SPAWN_FD = 3
"""Where the collector finds the spawn lock."""
START_S = 10.0
"""How long a started collector may take to show itself; also the pause between the first two that do not."""
MAX_PAUSE_S = 60.0
NEEDED = ("recost", "recost_collector", "msgspec", "filelock", "urllib3", "websockets")


# gevent's would make a hub on our thread, and make the start of a process wait for it.
_posix_spawn = native("posix", "posix_spawn")
_waitpid = native("posix", "waitpid")


class SpawnLock:
    """The right to look for a leader and to start one. ``taken`` is False when another worker has it."""

    def __init__(self, directory: str) -> None:
        fd = open_lock(directory, SPAWN_LOCK)
        try:
            # Above the low numbers, for posix_spawn puts it at SPAWN_FD and the two must differ.
            self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16)
        finally:
            os.close(fd)
        self.directory = directory
        self._owner_pid = os.getpid()
        self.taken = False
        try:
            self.taken = try_lock(self.fd)
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> SpawnLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def hand_on(self) -> SpawnLock:
        """The same lock for another owner: our own ``release`` does nothing from here on."""
        other: SpawnLock = object.__new__(SpawnLock)
        other.__dict__.update(self.__dict__)
        self.fd = -1
        return other

    def release(self) -> None:
        """Give it up, once. A forked child only closes its copy: the lock is not its to free."""
        fd, self.fd = self.fd, -1
        if fd < 0:
            return
        with contextlib.suppress(OSError):
            if self.taken and os.getpid() == self._owner_pid:
                unlock(fd)
        with contextlib.suppress(OSError):
            os.close(fd)


class Spawned:
    """A start under way: the middle process, and our copy of the spawn lock."""

    def __init__(self, pid: int, lock: SpawnLock) -> None:
        self.pid = pid
        self.exit_code = 0
        """Of the middle process, once it is gone; 0 too when somebody else took it from the kernel."""
        self._lock = lock
        self._reaped = False

    def reap(self) -> bool:
        """True when the middle process is gone; takes its exit code from the kernel without waiting."""
        if self._reaped:
            return True
        try:
            pid, status = _waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # the application waited for all its children and got this one too
            pid, status = self.pid, 0
        self._reaped = pid != 0
        if self._reaped:
            self.exit_code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self._reaped

    def kill(self) -> None:
        """End a middle process that hangs, right after ``reap`` found it there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def release(self) -> None:
        """Give up the spawn lock."""
        self._lock.release()


class Starts:
    """One worker's starts of collectors, one at a time, with a pause that grows while they come to nothing."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._under_way: Optional[Spawned] = None
        self._began_at = 0.0
        self._next_at = 0.0
        self._pause_s = START_S

    def may_begin(self) -> bool:
        """True when none is under way, and no pause."""
        return self._under_way is None and time.monotonic() >= self._next_at

    def begin(self, lock: SpawnLock) -> None:
        """Start one. Raises ``OSError`` when no process can be started."""
        self._under_way = spawn(lock)
        self._began_at = time.monotonic()

    def succeed(self) -> None:
        """A collector showed itself."""
        self._pause_s = START_S
        self._next_at = 0.0
        self._finish()

    def failure(self) -> str:
        """How the start under way came to nothing, told once; empty: it did not, or there is none."""
        started = self._under_way
        if started is None:
            return ""
        if not started.reap():
            if self._is_overdue():
                started.kill()
            return ""
        why = self._why(started)
        if why:
            self._finish()
            self._next_at = self._began_at + self._pause_s
            self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
        return why

    def is_to_be_awaited(self) -> bool:
        """False once nothing of a start is left to reap or release, or it takes too long."""
        self._finish()
        return self._under_way is not None and not self._is_overdue()

    def _why(self, started: Spawned) -> str:
        if started.exit_code:
            return f"the interpreter ended with code {started.exit_code}"
        if self._is_overdue():
            return f"a started one gave no sign of life for {START_S:g} s"
        with SpawnLock(self._directory) as probe:  # it frees the lock when it leads, or as it ends
            failed = probe.taken and not has_leader(self._directory)
        return "a started one ended at once, its log may tell why" if failed else ""

    def _is_overdue(self) -> bool:
        return time.monotonic() - self._began_at > START_S

    def _finish(self) -> None:
        """Free the spawn lock, once the middle process is reaped."""
        if self._under_way is not None and self._under_way.reap():
            self._under_way.release()
            self._under_way = None


def start_collector(directory: str) -> Optional[Spawned]:
    """Start a collector for ``directory`` unless one leads or is being started: then None.

    Raises ``OSError`` when no process can be started.
    """
    with SpawnLock(directory) as lock:
        return spawn(lock) if lock.taken and not has_leader(directory) else None


def spawn(lock: SpawnLock) -> Spawned:
    """Start a collector and hand the lock on to it. After ``OSError`` the lock is still the caller's."""
    return Spawned(_spawn(lock), lock.hand_on())


def _spawn(lock: SpawnLock) -> int:
    interpreter = find_interpreter()
    launcher = importlib.util.find_spec("recost_collector")
    if interpreter is None or launcher is None or launcher.origin is None:
        raise FileNotFoundError(
            f"no Python interpreter, or no package recost_collector: sys.executable={sys.executable}"
        )
    script = os.path.join(os.path.dirname(launcher.origin), "launch.py")
    argv = [interpreter, "-I", "-S", "-B", script, lock.directory, *import_paths()]
    pid: int = _posix_spawn(
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
    return pid


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
