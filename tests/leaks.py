"""What a test left behind: processes, threads that are no daemons, runtime directories outside its own place.

A process is ours when its command line, its environment or a file it holds open names our mark, or when it
is a child of this process (a forked child that never called exec has our command line and environment).  Only such
a process is ever ended, by pid, after one more look at what made it ours.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.harness import POLL_S

GRACE_S = 15.0
"""A collector leaves 10 s after its last worker, by default."""

PROC = Path("/proc")
SHARED_MEMORY = Path("/dev/shm")


class Process(NamedTuple):
    """A living process. The start time tells it from a later one with the same pid."""

    pid: int
    started_at: int
    command: str


class Remains(NamedTuple):
    """Everything that outlives a test and should not."""

    processes: frozenset[Process]
    threads: frozenset[threading.Thread]
    directories: frozenset[Path]

    def without(self, before: Remains) -> Remains:
        return Remains(
            self.processes - before.processes,
            self.threads - before.threads,
            self.directories - before.directories,
        )

    def __str__(self) -> str:
        lines = [f"process {p.pid}: {p.command}" for p in sorted(self.processes)]
        lines += [f"thread {t.name}: not a daemon" for t in self.threads]
        lines += [f"directory {d}: {[f.name for f in d.iterdir()]}" for d in sorted(self.directories) if d.is_dir()]
        return "\n".join(lines)


def look(mark: str, shared_memory: Path = SHARED_MEMORY) -> Remains:
    """What is there now. ``mark`` is the part that all paths of this run's process share."""
    return Remains(
        frozenset(processes(mark)),
        frozenset(t for t in threading.enumerate() if not t.daemon),
        frozenset(shared_memory.glob(f"recost-{os.geteuid()}-v*")),
    )


def wait_for_nothing_new(mark: str, before: Remains, grace_s: float | None = None) -> Remains:
    """What is there beyond ``before`` after all that leaves by itself had the time to. Usually one look."""
    give_up_at = time.monotonic() + (GRACE_S if grace_s is None else grace_s)
    _stop_multiprocessing()
    while True:
        left = look(mark).without(before)
        if not any(left) or time.monotonic() >= give_up_at:
            return left
        time.sleep(POLL_S)


def end(left: Remains, mark: str) -> None:
    """Kill the processes in ``left``, as far as they still are who they were and ours."""
    for process in left.processes & frozenset(processes(mark)):
        with contextlib.suppress(ProcessLookupError):  # it left by itself just now
            os.kill(process.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # not our own child: somebody else reaps it
            os.waitpid(process.pid, 0)


def processes(mark: str) -> list[Process]:
    """The processes of this run, without this one. Empty where there is no /proc."""
    # strings, not paths: every test does this twice, over every process of the machine
    pids = [int(name) for name in os.listdir(PROC) if name.isdigit()] if PROC.exists() else []
    return [found for found in (_ours(pid, os.fsencode(mark)) for pid in pids if pid != os.getpid()) if found]


def _ours(pid: int, mark: bytes) -> Process | None:
    place = os.fsencode(f"{PROC}/{pid}")
    try:
        # after the last ")": the command's name in front may hold anything
        state, parent, *rest = _read(place + b"/stat").rpartition(b")")[2].split()
        command = _read(place + b"/cmdline")  # empty: a thread of the kernel, or dead
        if int(parent) != os.getpid() and not (command and (mark in command or _names(place, mark))):
            return None
    except OSError:  # it ended while we looked, or is another user's
        return None
    text = os.fsdecode(command.replace(b"\0", b" ")).strip()
    return Process(pid, int(rest[17]), text or f"(not waited for, state {os.fsdecode(state)})")


def _names(place: bytes, mark: bytes) -> bool:
    if mark in _read(place + b"/environ"):
        return True
    for descriptor in os.listdir(place + b"/fd"):
        with contextlib.suppress(OSError):  # closed while we looked
            if mark in os.readlink(place + b"/fd/" + descriptor):
                return True
    return False


def _read(path: bytes) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _stop_multiprocessing() -> None:
    # Both live until the process ends and keep the environment of the test that happened to start them.
    for module, name in (("forkserver", "_forkserver"), ("resource_tracker", "_resource_tracker")):
        if f"multiprocessing.{module}" in sys.modules:
            getattr(sys.modules[f"multiprocessing.{module}"], name)._stop()
    multiprocessing.active_children()  # reaps those that ended
