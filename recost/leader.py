"""Who leads: the files of an election that workers, the collector and the command line all look at.

``leader.lock`` is locked by the collector for as long as it leads and holds nothing: some lock libraries empty the
file when a contender opens it.  ``leader.json`` says who that is.  ``spawn.lock`` is taken by a worker around
looking for a leader and starting one, so that of 32 workers at once only one does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from typing import Literal, Optional

import msgspec

from recost._forks import open_unshared
from recost.event import UNDECODABLE
from recost.origins import pid_namespace, process_start
from recost.system import AT_ONCE, CLOSELY, try_lock, unlock

LEADER_LOCK = "leader.lock"
LEADER_INFO = "leader.json"
SPAWN_LOCK = "spawn.lock"
WAKE = "wake"

HANDOVER_SIGNAL = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows has none, and no collectors
"""Tells a spawned collector to commit and make room at once for one of a newer version."""

LeaderKind = Literal["spawned", "run", "thread"]


class Leader(msgspec.Struct, frozen=True):
    """The process that leads in a runtime directory, as it describes itself."""

    pid: int
    process_start: int
    pid_namespace: int
    version: str
    kind: LeaderKind
    epoch: int
    spool: str
    """Directory of its spool, ``as_text``."""
    started_at_ms: int = 0
    trouble: str = ""
    """Why it works in a degraded way, e.g. with its state in another place; empty: it does not."""

    def is_alive(self) -> bool:
        """True when that very process exists in our pid namespace."""
        return self.pid_namespace == pid_namespace() and process_start(self.pid) == self.process_start


# Made at import: msgspec notes down what it knows of a type in steps, and a child forked amid them in another thread
# reads a null pointer there.
_decode = msgspec.json.Decoder(Leader).decode


def as_text(path: str) -> str:
    """``path`` as JSON can carry it: bytes that are no UTF-8 are written out."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_leader(directory: str) -> Optional[Leader]:
    """The last leader's description; None when there is none or it cannot be read."""
    try:
        with open(os.path.join(directory, LEADER_INFO), "rb") as file:
            return _decode(file.read(4096))
    except (OSError, *UNDECODABLE):
        return None


def write_leader(directory: str, leader: Leader) -> None:
    """Publish ``leader`` in one step. Only the holder of the leader lock calls it."""
    path = os.path.join(directory, LEADER_INFO)
    unfinished = f"{path}~"  # one name for all leaders: what a killed one leaves there, the next one writes over
    packed = msgspec.json.encode(leader)
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CLOSELY, 0o600)
    try:
        os.write(fd, packed)
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _write_over(path, packed)  # no room for a second one; who reads meanwhile sees none
        return
    finally:
        os.close(fd)
    os.replace(unfinished, path)


def _write_over(path: str, packed: bytes) -> None:
    """Into the room that the last leader's description takes."""
    fd = os.open(path, os.O_WRONLY | CLOSELY)
    try:
        os.write(fd, packed.ljust(os.fstat(fd).st_size))
    finally:
        os.close(fd)


def show_life(directory: str) -> None:
    """For the leader, about once a second: a worker whose ring it does not read sees by it that it does not hang."""
    with contextlib.suppress(OSError):
        os.utime(os.path.join(directory, LEADER_INFO))


def sign_of_life(directory: str) -> int:
    """Differs from an earlier one when the leader has turned since. Says nothing of when: clocks differ."""
    try:
        return os.stat(os.path.join(directory, LEADER_INFO)).st_mtime_ns
    except OSError:
        return 0


def open_lock(directory: str, name: str) -> int:
    """A descriptor of a lock file, made when missing; not inherited by programs that are executed."""
    path = os.path.join(directory, name)
    return os.open(path, os.O_RDWR | os.O_CREAT | CLOSELY, 0o600)


def has_leader(directory: str) -> bool:
    """True when somebody holds the leader lock. Call it only while holding the spawn lock, or to report.

    The probe takes the lock for an instant, which a collector that starts up waits out.
    """
    (fd,) = open_unshared(lambda: (open_lock(directory, LEADER_LOCK),))
    try:
        free = try_lock(fd)
        if free:
            unlock(fd)  # closing is not enough: a fork in another thread may have made a copy just now
        return not free
    finally:
        os.close(fd)


def wake_leader(directory: str) -> None:
    """Make the collector turn now instead of at its next poll. Without a collector nothing happens."""
    try:
        fd = os.open(os.path.join(directory, WAKE), os.O_WRONLY | AT_ONCE | CLOSELY)
    except OSError:  # nobody reads it, or nobody ever led here
        return
    try:
        os.write(fd, b"\0")
    except OSError:  # the pipe is full: it wakes anyway
        return
    finally:
        os.close(fd)
