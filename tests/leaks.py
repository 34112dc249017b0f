"""What a test left behind: processes, threads that are no daemons, runtime directories outside its own place, and
capture that is still on.

A process is ours when its command line, its environment or a file it holds open names our mark, or when it
is a child of this process (a forked child that never called exec has our command line and environment).  Only such
a process is ever ended, by pid, after one more look at what made it ours.

Every test looks, at every process of the machine, so a look must be cheap: what began before the test is none that it
left, and of that only the time is read at which it began.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from recost._capture import remove_sink, wrap
from recost._capture.wrap import Sink
from tests.harness import POLL_S

GRACE_S = 15.0
"""A collector leaves 10 s after its last worker, by default."""

GONE_S = 15.0
"""What was killed is gone at once, unless the disk holds it up."""

PROC = Path("/proc")
SHARED_MEMORY = Path("/dev/shm")


class Process(NamedTuple):
    """A living process. The start time tells it from a later one with the same pid."""

    pid: int
    started_at: int
    command: str

    def is_in(self, others: Iterable[Process]) -> bool:
        """Whether it is among them, whatever program it runs by now."""
        return any(self[:2] == other[:2] for other in others)


class Remains(NamedTuple):
    """Everything that outlives a test and should not."""

    processes: frozenset[Process]
    threads: frozenset[threading.Thread]
    directories: frozenset[Path]
    sinks: frozenset[Sink]
    """Who is told of every captured call in this process."""

    def without(self, before: Remains) -> Remains:
        return Remains(
            self.processes - before.processes,
            self.threads - before.threads,
            self.directories - before.directories,
            self.sinks - before.sinks,
        )

    def __str__(self) -> str:
        lines = [f"process {p.pid}: {p.command}" for p in sorted(self.processes)]
        lines += [f"thread {t.name}: not a daemon" for t in self.threads]
        lines += [f"directory {d}: {[f.name for f in d.iterdir()]}" for d in sorted(self.directories) if d.is_dir()]
        lines += [f"capture is on, for {sink}" for sink in self.sinks]
        return "\n".join(lines)


class Moment(NamedTuple):
    """Tells the processes that began after it from those that were there."""

    ticks: int = 0
    """Of the clock that start times are in."""
    last_pid: int = 0
    """The newest process by then; decides between those of the same tick."""

    def is_before(self, pid: int, started_at: int) -> bool:
        return self.ticks < started_at or (self.ticks == started_at and self.last_pid < pid)


EVER = Moment()


def now() -> Moment:
    """This moment; where there is no /proc, one before all processes."""
    if not PROC.exists():
        return EVER
    ticks = time.clock_gettime_ns(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") // 1_000_000_000
    return Moment(ticks, int((PROC / "loadavg").read_bytes().split()[-1]))


def look(mark: str, shared_memory: Path = SHARED_MEMORY, since: Moment = EVER) -> Remains:
    """What is there now. ``mark`` is the part that all paths of this run's process share."""
    return Remains(frozenset(processes(mark, since)), *_beside_processes(shared_memory))


def look_at_no_process() -> Remains:
    """What is there now beside processes, for whoever also notes ``now()``."""
    return Remains(frozenset(), *_beside_processes(SHARED_MEMORY))


def _beside_processes(
    shared_memory: Path,
) -> tuple[frozenset[threading.Thread], frozenset[Path], frozenset[Sink]]:
    threads = frozenset(thread for thread in threading.enumerate() if not thread.daemon)
    return threads, frozenset(shared_memory.glob(f"recost-{os.geteuid()}-v*")), frozenset(wrap.sinks())


def wait_for_nothing_new(
    mark: str, before: Remains, grace_s: float | None = None, since: Moment = EVER, besides: Collection[int] = ()
) -> Remains:
    """What is there beyond ``before`` after all that leaves by itself had the time to. Usually one look.

    ``besides``: pids that are none of it.
    """
    give_up_at = time.monotonic() + (GRACE_S if grace_s is None else grace_s)
    _stop_multiprocessing()
    while True:
        left = look(mark, since=since).without(before)
        left = left._replace(processes=frozenset(found for found in left.processes if found.pid not in besides))
        if not any(left) or time.monotonic() >= give_up_at:
            return left
        while any(left) and time.monotonic() < give_up_at:
            time.sleep(POLL_S)
            left = _still_there(left, mark)


def _still_there(left: Remains, mark: str) -> Remains:
    """What of it has not left by itself. Of all other processes nothing is read, so they are not held up."""
    return Remains(
        frozenset(process for process in left.processes if process.is_in(processes_of([process.pid], mark))),
        frozenset(thread for thread in left.threads if thread.is_alive()),
        frozenset(directory for directory in left.directories if directory.exists()),
        left.sinks.intersection(wrap.sinks()),
    )


def end(left: Remains, mark: str) -> None:
    """Kill the processes in ``left``, as far as they still are who they were and ours. Returns when they are gone.

    Capture is off then for those who left it on.
    """
    for sink in left.sinks:
        remove_sink(sink)
    killed = left.processes & frozenset(processes(mark))
    for process in killed:
        with contextlib.suppress(ProcessLookupError):  # it left by itself just now
            os.kill(process.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # not our own child: somebody else reaps it
            os.waitpid(process.pid, 0)
    give_up_at = time.monotonic() + GONE_S
    while _still_there(left._replace(processes=killed), mark).processes and time.monotonic() < give_up_at:
        time.sleep(POLL_S)  # till then it may make files in the directory that is removed next


def processes(mark: str, since: Moment = EVER) -> list[Process]:
    """The processes of this run that began after ``since``, without this one. Empty where there is no /proc."""
    return processes_of(_pids(), mark, since)


def processes_of(pids: Iterable[int], mark: str, since: Moment = EVER) -> list[Process]:
    """The same, of these only."""
    found = (_ours(pid, os.fsencode(mark), since) for pid in pids if pid != os.getpid())
    return [process for process in found if process]


def commanded(part: str) -> list[int]:
    """The pids of all processes with ``part`` in their command line, the words of which have a space between them."""
    wanted = os.fsencode(part.replace(" ", "\0"))
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):  # it ended while we looked, or is another user's
            if wanted in _read(b"%s/%d/cmdline" % (os.fsencode(PROC), pid)):
                found.append(pid)
    return found


def _pids() -> list[int]:
    # strings, not paths: every test does this, over every process of the machine
    return [int(name) for name in os.listdir(PROC) if name.isdigit()] if PROC.exists() else []


def _ours(pid: int, mark: bytes, since: Moment) -> Process | None:
    place = os.fsencode(f"{PROC}/{pid}")
    try:
        # after the last ")": the command's name in front may hold anything
        state, parent, *rest = _read(place + b"/stat").rpartition(b")")[2].split()
        started_at = int(rest[17])
        if not since.is_before(pid, started_at):
            return None
        command = _read(place + b"/cmdline")  # empty: a thread of the kernel, or dead
        if int(parent) != os.getpid() and not (command and (mark in command or _names(place, mark))):
            return None
    except OSError:  # it ended while we looked, or is another user's
        return None
    text = os.fsdecode(command.replace(b"\0", b" ")).strip()
    return Process(pid, started_at, text or f"(not waited for, state {os.fsdecode(state)})")


def _names(place: bytes, mark: bytes) -> bool:
    if mark in _read(place + b"/environ"):
        return True
    for descriptor in os.listdir(place + b"/fd"):
        with contextlib.suppress(OSError):  # closed while we looked
            if mark in os.readlink(place + b"/fd/" + descriptor):
                return True
    return False


def _read(path: bytes) -> bytes:
    fd = os.open(path, os.O_RDONLY)  # open() costs twice as much, and a look reads a hundred of them
    try:
        text = part = os.read(fd, 1 << 16)
        while part:
            part = os.read(fd, 1 << 16)
            text += part
        return text
    finally:
        os.close(fd)


def _stop_multiprocessing() -> None:
    # Both live until the process ends and keep the environment of the test that happened to start them.
    for module, name in (("forkserver", "_forkserver"), ("resource_tracker", "_resource_tracker")):
        if f"multiprocessing.{module}" in sys.modules:
            getattr(sys.modules[f"multiprocessing.{module}"], name)._stop()
    multiprocessing.active_children()  # reaps those that ended
