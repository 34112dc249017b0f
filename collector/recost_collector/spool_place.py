"""Where the spool of a runtime directory lies, and what other spools left behind beside it.

A spool is ``<state dir>/<id>/``; the id is random and kept in the runtime directory, so two containers on one home
volume, two layouts and two runtime directories never meet.  Its lock is held for the collector's life.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import stat
import time
from collections.abc import Iterator
from typing import NamedTuple, Optional

from filelock import FileLock, Timeout

from recost.leader import as_text, read_leader
from recost.origins import boot_id
from recost.paths import degraded_state, lesser_state_dir, make_private_dir, state_dir
from recost.system import CLOSELY, HAS_OWNERS, MOVES_OPEN_FILES, is_ours
from recost_collector.election import new_file_lock
from recost_collector.spool import SPOOL_FILE, Spool, SpoolTrouble
from recost_collector.spool_file import ASIDE
from recost_collector.words import in_words

ID_FILE = "spool-id"
LOCK_FILE = "spool.lock"
ORPHAN_AFTER_S = 600.0
"""A spool that still has cursors is an orphan only when nobody wrote it for so long: its rings may live."""

Written = dict[str, tuple[float, int]]
"""By name of the file: when, and how long it is."""

logger = logging.getLogger("recost_collector")


class Place(NamedTuple):
    """A locked spool directory."""

    directory: str
    state_dir: str
    degraded: str
    """Why the state is not where it was meant to be; empty: it is."""
    lock: FileLock

    def release(self) -> None:
        self.lock.release(force=True)


def open_spool(runtime: str, patience_s: float = 5.0) -> tuple[Place, Spool]:
    """The spool of ``runtime``, locked and open, made if need be; in the runtime directory where no disk takes it.

    A predecessor that was just killed may hold its lock for another moment.  Raises ``OSError`` when no place will do,
    ``SpoolTrouble`` when a predecessor works there still: a second spool for the same rings would count them twice.
    """
    wanted = state_dir()
    troubles: list[str] = []
    for state in dict.fromkeys((wanted.path, runtime)):
        degraded = degraded_state(state, ", ".join(troubles)) if troubles else wanted.degraded
        try:
            place = _claim(runtime, state, degraded, patience_s)
        except (OSError, Timeout) as exc:
            troubles.append(f"{state} cannot hold it ({_why(exc)})")
            continue
        try:
            return place, Spool(place.directory, boot_id().hex())
        except (OSError, SpoolTrouble) as exc:
            troubles.append(f"{state} cannot hold it ({_why(exc)})")
            place.release()
        except BaseException:
            place.release()
            raise
    raise OSError(f"no place for a spool: {', '.join(troubles)}")


def orphans(place: Place, runtime: str) -> Iterator[Place]:
    """The spools beside ours that belong to nobody, each locked; release or ``remove`` it.

    Also at the right place, if it takes one by now, and at the lesser ones, from a time when that took none.
    """
    for state in dict.fromkeys((place.state_dir, state_dir().path, lesser_state_dir(), runtime)):
        for directory in spool_dirs(state):
            if directory == place.directory:
                continue
            lock = new_file_lock(os.path.join(directory, LOCK_FILE))
            with contextlib.suppress(Timeout, OSError):
                lock.acquire(timeout=0)
                yield Place(directory, state, "", lock)


def spool_dirs(state: str) -> list[str]:
    """The directories of spools below ``state``, if that is there and of this user alone."""
    try:
        names = sorted(os.listdir(state)) if is_private_dir(state) else []
    except OSError:  # removed just now
        return []
    found = (os.path.join(state, name) for name in names)
    return [directory for directory in found if os.path.isfile(os.path.join(directory, SPOOL_FILE))]


def is_private_dir(path: str) -> bool:
    """Whether ``path`` is there and ours alone. One look: it may go at any moment."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and (not HAS_OWNERS or (is_ours(found) and not found.st_mode & 0o077))


def last_written(directory: str) -> Written:
    """Of the spool there: its file and its journal, which is made empty by who only looks."""
    found: Written = {}
    for name in (SPOOL_FILE, f"{SPOOL_FILE}-wal"):
        with contextlib.suppress(OSError):
            file = os.stat(os.path.join(directory, name))
            if file.st_size:
                found[name] = (file.st_mtime, file.st_size)
    return found


def is_stale(directory: str) -> bool:
    """True when nobody has written the spool there for a long time."""
    newest = max((at for at, _ in last_written(directory).values()), default=0.0)
    return time.time() - newest > ORPHAN_AFTER_S


def remove(place: Place) -> None:
    """Delete an adopted spool, but for what was damaged and is kept for diagnosis. Its lock goes last."""
    _empty(place.directory)
    place.release()
    if not MOVES_OPEN_FILES:  # the lock's file was open; who has taken it since keeps it open, too
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(place.directory, LOCK_FILE))
            os.rmdir(place.directory)


def _empty(directory: str) -> None:
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(directory) if ASIDE not in name]
        for name in sorted(names, key=lambda name: name == LOCK_FILE):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(directory, name))
        os.rmdir(directory)


def _why(exc: Exception) -> str:
    if isinstance(exc, Timeout):
        return "another process works there"
    return in_words(exc)


def _claim(runtime: str, state: str, degraded: str, patience_s: float) -> Place:
    make_private_dir(state)
    directory = os.path.join(state, _spool_id(runtime))
    lock = new_file_lock(os.path.join(directory, LOCK_FILE))
    try:
        _acquire(lock, directory, patience_s)
    except Timeout:
        if not _end_predecessor(runtime, directory):
            raise
        lock.acquire(timeout=patience_s)
    return Place(directory, state, degraded, lock)


def _acquire(lock: FileLock, directory: str, patience_s: float) -> None:
    """Lock ``directory``, made if need be: a predecessor who leaves may remove it between the two."""
    make_private_dir(directory)
    try:
        lock.acquire(timeout=patience_s)
    except FileNotFoundError:
        make_private_dir(directory)
        lock.acquire(timeout=patience_s)


def _end_predecessor(runtime: str, directory: str) -> bool:
    """Kill the last leader of ``runtime`` if it is at work in ``directory`` still. False: it is not, or is dead.

    We hold the leader lock, so that one's lock file was deleted; it is stopped, or it would have left long ago.
    """
    leader = read_leader(runtime)
    if leader is None or leader.spool != as_text(directory) or leader.pid == os.getpid() or not leader.is_alive():
        return False
    if leader.kind == "thread":
        raise SpoolTrouble(f"process {leader.pid}, which led before, still holds {directory}")
    logger.warning("the last leader has lost its lock file and is stopped, it is ended: pid=%d", leader.pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(leader.pid, signal.SIGKILL)
    return True


def _spool_id(runtime: str) -> str:
    path = os.path.join(runtime, ID_FILE)
    found = _read_id(path)
    if found is not None:
        return found
    fresh = secrets.token_hex(8)
    fd = os.open(f"{path}~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CLOSELY, 0o600)
    try:
        os.write(fd, fresh.encode())
    finally:
        os.close(fd)
    os.replace(f"{path}~", path)
    return fresh


def _read_id(path: str) -> Optional[str]:
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(64).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if text and all(letter in "0123456789abcdef" for letter in text) else None
