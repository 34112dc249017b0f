"""Start a collector as nobody's child, from a worker that may be in any state.

The worker holds the spawn lock and hands its descriptor on; the collector frees the lock once it leads.  A pipe whose
other end it has tells the worker that it leads or has ended, whatever ended it: then it is closed.  What is written
there is the collector's pid, by which the worker knows it also where a fork has leaked a copy of that end.

The interpreter is started with ``posix_spawn`` (no Python code runs in a forked copy of the application), forks once
before it imports anything and lets the middle process end, so that an application that waits for children of its own
does not meet it for longer than an interpreter takes to start.  No key is in arguments or environment.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
from typing import Any, NamedTuple, Optional

from recost._forks import open_unshared
from recost._native import native
from recost.leader import SPAWN_LOCK, has_leader, open_lock
from recost.paths import absolute
from recost.system import SHARES, moved_up, try_lock, unlock

SPAWN_FD, PIPE_FD = 3, 4
"""Where the collector finds the spawn lock, and its end of the pipe."""
NEEDED = ("recost", "recost_collector", "msgspec", "filelock", "urllib3", "websockets")
PID_BYTES = 20
LOW_NUMBERS = 16
"""Our descriptors are above: posix_spawn puts copies at the numbers of stdio and at the two above."""


# gevent's would make a hub on our thread, and make the start of a process wait for it.
if SHARES:
    _posix_spawn = native("posix", "posix_spawn")
    _waitpid = native("posix", "waitpid")
    _poll = native("select", "poll")
    POLLIN, POLLHUP = native("select", "POLLIN"), native("select", "POLLHUP")


class Descriptor(NamedTuple):
    """One of ours, with what it was opened on: a program may close all it finds and get the number for its own."""

    fd: int
    inode: tuple[int, int]

    def is_ours(self) -> bool:
        """True while it is what we opened."""
        try:
            return _inode(self.fd) == self.inode
        except OSError:
            return False

    def close(self) -> None:
        """Once or more often; never closes what is not ours."""
        if self.is_ours():
            with contextlib.suppress(OSError):
                os.close(self.fd)


class SpawnLock:
    """The right to look for a leader and to start one. ``taken`` is False when another worker has it."""

    def __init__(self, directory: str) -> None:
        (fd,) = open_unshared(lambda: (moved_up(open_lock(directory, SPAWN_LOCK), LOW_NUMBERS),))
        self.descriptor = Descriptor(fd, _inode(fd))
        self.directory = directory
        self._owner_pid = os.getpid()
        self._is_held = True
        self.taken = False
        try:
            self.taken = self.take()
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> SpawnLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self) -> bool:
        """Take it, or take it back from a collector that has ended with it. False: another worker has it."""
        return self.descriptor.is_ours() and try_lock(self.descriptor.fd)

    def hand_on(self) -> SpawnLock:
        """The same lock for another owner: our own ``release`` does nothing from here on."""
        other: SpawnLock = object.__new__(SpawnLock)
        other.__dict__.update(self.__dict__)
        self._is_held = False
        return other

    def release(self) -> None:
        """Give it up, once. A forked child only closes its copy: the lock is not its to free."""
        if self._is_held and self.taken and os.getpid() == self._owner_pid and self.descriptor.is_ours():
            with contextlib.suppress(OSError):
                unlock(self.descriptor.fd)
        self.leave()

    def leave(self) -> None:
        """Close our copy, once. A collector that has one, too, goes on holding the lock."""
        if self._is_held:
            self._is_held = False
            self.descriptor.close()


class Spawned:
    """A start under way: the middle process, our copy of the spawn lock, and our end of the pipe."""

    def __init__(self, pid: int, lock: SpawnLock, pipe: Descriptor) -> None:
        self.pid = pid
        self.exit_code = 0
        """Of the middle process, once it is gone; 0 too when somebody else took it from the kernel."""
        self._lock = lock
        self._pipe = pipe
        self._reaped = False
        self._collector_pid = 0
        """0: it has not been told yet."""

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

    def is_known_to_live(self) -> bool:
        """True while the middle process is there, or the collector, which has neither led nor ended."""
        return not self.reap() or (not self._is_closed() and self._read_pid() != 0 and not self._is_gone())

    def came_to_nothing(self) -> bool:
        """True when the collector has ended and nobody leads."""
        if not (self._is_closed() or self._is_gone()) or not self._lock.take():
            return False
        return not has_leader(self._lock.directory)

    def give_up(self) -> None:
        """Free the spawn lock for every copy, those included that a fork has leaked."""
        self._pipe.close()
        self._lock.release()

    def leave(self) -> None:
        """Let the collector have the lock for as long as it needs it."""
        self._pipe.close()
        self._lock.leave()

    def _is_closed(self) -> bool:
        if not self._pipe.is_ours():
            return False
        return bool(self._events(0) & POLLHUP)

    def _is_gone(self) -> bool:
        """The collector has ended, whoever keeps a copy of its end of the pipe."""
        pid = self._read_pid()
        try:
            if pid:
                os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # there is a process
            return False
        return False

    def _read_pid(self) -> int:
        """Of the collector, as the middle process has told it; 0: it has not."""
        if not self._collector_pid and self._pipe.is_ours() and self._events(POLLIN) & POLLIN:
            with contextlib.suppress(OSError, ValueError):
                self._collector_pid = int(os.read(self._pipe.fd, PID_BYTES))
        return self._collector_pid

    def _events(self, wanted: int) -> int:
        poll = _poll()
        poll.register(self._pipe.fd, wanted)  # POLLHUP needs no asking for
        return sum(events for _, events in poll.poll(0))


def start_collector(directory: str) -> Optional[Spawned]:
    """Start a collector for ``directory`` unless one leads or is being started: then None.

    Raises ``OSError`` when no process can be started.
    """
    with SpawnLock(directory) as lock:
        return spawn(lock) if lock.taken and not has_leader(directory) else None


def spawn(lock: SpawnLock) -> Spawned:
    """Start a collector and hand the lock on to it. After ``OSError`` the lock is still the caller's."""
    ours, its = (Descriptor(fd, _inode(fd)) for fd in open_unshared(_open_pipe))
    try:
        return Spawned(_spawn(lock.descriptor.fd, its.fd, lock.directory), lock.hand_on(), ours)
    except BaseException:
        ours.close()
        raise
    finally:
        its.close()


def _spawn(lock_fd: int, pipe_fd: int, directory: str) -> int:
    interpreter = find_interpreter()
    launcher = importlib.util.find_spec("recost_collector")
    if interpreter is None or launcher is None or launcher.origin is None:
        raise FileNotFoundError(
            f"no Python interpreter, or no package recost_collector: sys.executable={sys.executable}"
        )
    argv = [interpreter, "-I", "-S", "-B", *_script(launcher.origin, launcher.loader), directory, *import_paths()]
    pid: int = _posix_spawn(
        interpreter,
        argv,
        _environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, lock_fd, SPAWN_FD),
            (os.POSIX_SPAWN_DUP2, pipe_fd, PIPE_FD),
        ],
        setsigmask=[],
        setsigdef=_DEFAULTED,
    )
    return pid


def _script(package: str, loader: Any) -> list[str]:
    """The collector's first file; as text where the package is in an archive, which no interpreter opens a file in."""
    path = os.path.join(os.path.dirname(package), "launch.py")
    return [path] if os.path.isfile(path) else ["-c", loader.get_data(path).decode("utf-8")]


def _open_pipe() -> tuple[int, ...]:
    return tuple(moved_up(fd, LOW_NUMBERS) for fd in os.pipe())


def _inode(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


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
_DEFAULTED = list(signal.valid_signals() - {getattr(signal, name, 0) for name in ("SIGKILL", "SIGSTOP")})
