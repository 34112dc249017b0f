"""A ring file as it lies there: opened read-only, never locked, never mapped, never changed.

It is not mapped because a file that is truncated under a mapping ends the process with SIGBUS; ``pread`` gives fewer
bytes.  It is not locked, not even to probe: a worker that makes its ring locks it without waiting, so a probe of a
``new-`` file at that instant would cost it the ring; a probe of a dead one that is stopped halfway keeps the collector
from reaping; and the collector's own lock on a dead ring would make its owner look alive.  Who has the lock is in
``/proc/locks``, which asks nobody; where there is no such file, or the owner is in a namespace that it does not show,
pid and start time of the process decide, and where these mean nothing, we say so.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from functools import partial
from typing import NamedTuple, Optional

from recost.origins import boot_id, pid_namespace
from recost.ring.files import UNFINISHED_PREFIX
from recost.ring.layout import HEARTBEAT, WORD
from recost_collector.ring_autopsy import examine
from recost_collector.ring_facts import FileFacts, HeaderFacts, OwnerFacts, OwnerState, Problem, RingReport
from recost_collector.ring_judge import HEALING

OWNER_ONLY = 0o600
UNFINISHED_S = 10.0
"""Nobody takes so long to make a ring; at this age a collector removes what was not finished."""
PAUSES_S = (0.02, 0.1, 0.3, 0.6)
"""Before looking again at a ring in use that seems damaged. Together the second that a collector waits for a record."""
LARGEST_PID = 1 << 22

Locks = dict[tuple[int, int, int], int]
"""Device major and minor and inode of locked files, to the pid that took the lock, as this pid namespace has it."""


class Process(NamedTuple):
    is_zombie: bool
    start: int
    """In clock ticks since boot."""


def read_locks() -> Locks:
    """Every ``flock`` that this process can see. Of a file system with device numbers of its own (btrfs) none."""
    locks: Locks = {}
    with contextlib.suppress(OSError), open("/proc/locks", "rb") as file:
        for line in file:
            fields = line.decode("ascii", "replace").split()
            with contextlib.suppress(ValueError, IndexError):
                major, minor, inode = fields[5].split(":")
                if fields[1] == "FLOCK":  # not "->", which waits for one
                    locks[int(major, 16), int(minor, 16), int(inode)] = int(fields[4])
    return locks


def locked_by(locks: Locks, found: os.stat_result) -> Optional[int]:
    return locks.get((os.major(found.st_dev), os.minor(found.st_dev), found.st_ino))


def look(path: str, locks: Locks, keep: int, *, follow: bool) -> RingReport:
    """All about the ring at ``path`` and its last ``keep`` calls; up to a second for one in use that seems damaged.

    Raises ``OSError`` when there is no such file.
    """
    report = _look_once(path, locks, keep, follow=follow)
    for pause_s in PAUSES_S:
        in_use = report.owner is not None and report.owner.state in ("alive", "another pid namespace")
        if not in_use or HEALING.isdisjoint(problem.kind for problem in report.problems):
            break
        time.sleep(pause_s)
        report = _look_once(path, locks, keep, follow=follow)
    return report


def heartbeat(path: str) -> Optional[int]:
    """The collector's word in a ring; None when it cannot be read."""
    try:
        fd = _open(path, follow=False)
        try:
            return int.from_bytes(os.pread(fd, WORD, HEARTBEAT * WORD), "little")
        finally:
            os.close(fd)
    except OSError:
        return None


def _look_once(path: str, locks: Locks, keep: int, *, follow: bool) -> RingReport:
    found = os.stat(path, follow_symlinks=follow)
    if not stat.S_ISREG(found.st_mode):  # opening a device or a pipe may do something
        what = "a link" if stat.S_ISLNK(found.st_mode) else "no regular file"
        problem = Problem("no-ring", f"it is {what}", "remove it if nobody needs it, collectors skip it")
        return _with_file(RingReport(problems=[problem]), path, found)
    try:
        fd = _open(path, follow=follow)
    except PermissionError as exc:
        problem = Problem("denied", f"it cannot be read: {exc.strerror}", f"ask as uid {found.st_uid} or as root")
        return _with_file(RingReport(problems=[problem]), path, found)
    try:
        found = os.fstat(fd)
        report = examine(partial(_read, fd), found.st_size, keep)
    except OSError as exc:
        problem = Problem("denied", f"it cannot be read: {exc.strerror}", "see the kernel's log for the disk")
        report = RingReport(problems=[problem])
    finally:
        os.close(fd)
    _with_file(report, path, found)
    if report.header is not None and report.header.ring_id:
        report.owner = _owner(report.header, locked_by(locks, found))
        if report.owner.state == "another boot":
            text = "made in another boot of the machine, or on another machine: collectors discard it unread"
            report.problems.append(Problem("boot", text))
    if not report.finished:
        _judge_unfinished(report, time.time() - found.st_mtime)
    return report


def _open(path: str, *, follow: bool) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    try:
        return os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # only the owner may leave the time of the last access as it is
        return os.open(path, flags)


def _read(fd: int, offset: int, length: int) -> bytes:
    return os.pread(fd, length, offset)


def _with_file(report: RingReport, path: str, found: os.stat_result) -> RingReport:
    mode = stat.S_IMODE(found.st_mode)
    report.path = path
    report.finished = not os.path.basename(path).startswith(UNFINISHED_PREFIX)
    report.file = FileFacts(found.st_size, f"{mode:04o}", found.st_uid, found.st_mtime_ns // 1_000_000)
    if mode & 0o077 and stat.S_ISREG(found.st_mode):
        text = f"its mode is {mode:04o}, want {OWNER_ONLY:04o}: others may read the key that it may hold"
        report.problems.append(Problem("mode", text, "chmod 600"))
    elif mode != OWNER_ONLY and stat.S_ISREG(found.st_mode):
        text = f"its mode is {mode:04o}, want {OWNER_ONLY:04o}: its owner must read and write it"
        report.problems.append(Problem("mode", text, "chmod 600"))
    return report


def _judge_unfinished(report: RingReport, age_s: float) -> None:
    """Nothing in it need be right, as long as somebody may be at work on it."""
    report.problems = [problem for problem in report.problems if problem.kind == "denied"]
    if age_s > UNFINISHED_S:
        text = "a worker ended while it made this ring; it holds nothing, and the next collector removes it"
        report.problems.append(Problem("unfinished", text))


def _owner(header: HeaderFacts, lock_pid: Optional[int]) -> OwnerFacts:
    return OwnerFacts(_owner_state(header, lock_pid), lock_pid)


def _owner_state(header: HeaderFacts, lock_pid: Optional[int]) -> OwnerState:
    if header.boot_id != boot_id().hex():
        return "another boot"
    if header.pid_namespace == pid_namespace():
        return "alive" if _is_alive(header.pid, header.process_start, lock_pid) else "dead"
    # Start times are the same in all pid namespaces, and a lock shows its owner's pid as it is in ours.
    if lock_pid is not None and _is_alive(lock_pid, header.process_start, lock_pid):
        return "alive"
    return "another pid namespace"


def _is_alive(pid: int, start: int, lock_pid: Optional[int]) -> bool:
    found = _process(pid)
    if found is not None:
        # The main thread of a process may have ended before the others: then the lock is still held.
        return start in (found.start, 0) and (not found.is_zombie or lock_pid == pid)
    if not 0 < pid <= LARGEST_PID:
        return False
    try:  # /proc may hide other users' processes, and macOS has none
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _process(pid: int) -> Optional[Process]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the name may hold spaces and brackets
        return Process(fields[0] in (b"Z", b"X"), int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None
