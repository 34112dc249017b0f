"""Directories: may we use them, is there room, what of them outlives a reboot."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from recost.paths import (
    WRITABLE_BY_OTHERS,
    file_system_of,
    is_above_others,
    is_writable,
    local_dir,
    nearest_existing,
    runtime_dir,
    runtime_dirs,
    state_dir,
)
from recost.ring.files import affordable
from recost.ring.layout import PAGE
from recost_collector.checks import Check, fail, ok, warn
from recost_collector.figures import listing, plural, size
from recost_collector.spool_place import spool_dirs
from recost_collector.words import in_words

VOLATILE = frozenset({"tmpfs", "ramfs", "devtmpfs"})
CONTAINER = frozenset({"overlay", "aufs", "fuse-overlayfs"})
SMALL_BYTES = 64 << 20
"""What Docker gives ``/dev/shm``."""
SHARED_BITS = 0o077
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
TRIAL_PREFIX = ".recost-doctor-"


def check(ring_bytes: int, local_file: str) -> Iterator[Check]:
    """``local_file``: the name of the one that windows go to; empty: they go elsewhere."""
    yield _runtime()
    yield _room(ring_bytes)
    yield _state()
    if local_file:
        yield _local(local_file)
    yield from _modes()
    yield _lasting(is_local=bool(local_file))


def _runtime() -> Check:
    path = runtime_dir()
    trouble = private_trouble(path)
    if trouble:
        mend = "name another one in RECOST_RUNTIME_DIR, for workers and this command alike"
        return fail("runtime directory", f"{path} is refused: {trouble}", mend, 4)
    unwritable = trouble_writing(path)
    if unwritable.text:
        mend = "name another one in RECOST_RUNTIME_DIR, for workers and this command alike, or make room"
        return fail("runtime directory", f"no ring can be made in {path}: {unwritable.text}", mend)
    return ok("runtime directory", path if os.path.lexists(path) else f"{path}: the first call makes it")


def _room(ring_bytes: int) -> Check:
    """For rings: a container's shared memory is small, and rings then are."""
    path = nearest_existing(runtime_dir())
    try:
        space, fits = os.statvfs(path), affordable(path, ring_bytes)
    except OSError as exc:
        return fail("room for rings", f"{path}: {exc.strerror}")
    total, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
    text = f"{size(free)} free of {size(total)} where rings are"
    if fits >= ring_bytes:
        return ok("room for rings", f"{text}; the next one gets {size(fits)}")
    small = total <= SMALL_BYTES
    mend = "docker run --shm-size=256m, or in Kubernetes an emptyDir of medium Memory" if small else "free some"
    text = f"{text}: the next one gets {size(fits)} in place of {size(ring_bytes)}, and bursts of calls may be dropped"
    return warn("room for rings", text, f"{mend}; or set RECOST_RING_BYTES to less")


def _state() -> Check:
    found = state_dir()
    if found.degraded:
        text, _, mend = found.degraded.partition("; ")
        return warn("state directory", text, mend)
    trouble = trouble_writing(found.path)
    if trouble.text:
        instead = runtime_dirs()[0]
        where = "memory, where a reboot takes it away" if file_system_of(instead) in VOLATILE else instead
        text = f"what waits cannot be kept in {found.path}, {trouble.text}: it is in {where}"
        room = "free some space there, or " if trouble.is_full else ""
        return warn("state directory", text, f"{room}set RECOST_STATE_DIR to a directory of this user on a local disk")
    return ok("state directory", found.path)


def _local(name: str) -> Check:
    path = local_dir()
    trouble = trouble_writing(path, name)
    if not trouble.text:
        return ok("local directory", path)
    text = f"{path} cannot take windows, {trouble.text}: they wait in the spool"
    if trouble.is_full:
        return fail("local directory", text, "free some space there: what waits goes out then")
    mend = "set RECOST_LOCAL_DIR to a directory of this user, or HOME where it is missing"
    return fail("local directory", text, mend)


class Unwritable(NamedTuple):
    """Why nothing can be written; an empty ``text``: it can."""

    text: str = ""
    is_full: bool = False


def trouble_writing(directory: str, name: str = "") -> Unwritable:
    """Why ``directory``, or the file ``name`` that may be in it, takes nothing.

    Tried, for permissions do not tell it all; under a name of its own, so that it comes into nobody's way, and taken
    away again.
    """
    place = nearest_existing(directory)
    if not os.path.isdir(place):
        return Unwritable(f"{place} is no directory")
    try:
        if place == directory:
            with tempfile.NamedTemporaryFile(prefix=TRIAL_PREFIX, dir=place) as file:
                file.write(bytes(PAGE))
                file.flush()
            return Unwritable(_trouble_appending(os.path.join(directory, name)) if name else "")
        os.rmdir(tempfile.mkdtemp(prefix=TRIAL_PREFIX, dir=place))
    except OSError as exc:
        text = f"{place} takes no {'file' if place == directory else 'new directory'} ({in_words(exc)})"
        return Unwritable(text, exc.errno in FULL)
    return Unwritable()


def _trouble_appending(path: str) -> str:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as exc:
        return f"{path} cannot be written ({in_words(exc)})"
    found = os.fstat(fd)
    os.close(fd)
    if not stat.S_ISREG(found.st_mode):
        return f"{path} is no regular file"
    return "" if found.st_uid == os.geteuid() else f"{path} belongs to uid {found.st_uid}"


def private_trouble(path: str) -> str:
    """Why recost refuses ``path`` as a directory of this user alone; empty when it does not, or it is not there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        above = nearest_existing(path)
        return "" if is_writable(above) else f"it is not there, and {above} is not writable"
    except OSError as exc:
        return exc.strerror or str(exc)
    if not stat.S_ISDIR(found.st_mode):
        return "it is a link" if stat.S_ISLNK(found.st_mode) else "it is no directory"
    if found.st_uid != os.geteuid():
        return f"it is owned by uid {found.st_uid}"
    if found.st_mode & WRITABLE_BY_OTHERS:
        return f"its mode is {stat.S_IMODE(found.st_mode):04o}"
    return "more than recost's is in it" if found.st_mode & SHARED_BITS and is_above_others(path) else ""


def _modes() -> Iterator[Check]:
    """Files that others may read: a ring's session block has the key."""
    wrong, looked_at = [], 0
    folders = [*runtime_dirs(), *spool_dirs(state_dir().path)]
    for folder in folders:
        if private_trouble(folder) or not os.path.isdir(folder):
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                looked_at += 1
                if found.st_uid != os.geteuid() or (stat.S_ISREG(found.st_mode) and found.st_mode & SHARED_BITS):
                    wrong.append(entry.path)
    if wrong:
        text = f"{plural(len(wrong), 'file')} of recost others may read, or own: {listing(wrong)}"
        yield fail(
            "modes", text, "chmod 600, and see who made them; recost makes its files 0600 in directories of 0700"
        )
    elif looked_at:
        yield ok("modes", f"{plural(looked_at, 'file')}, none open to others")


def _lasting(*, is_local: bool) -> Check:
    """What a reboot or the end of a container takes away."""
    places = {"windows that wait": state_dir().path}
    if is_local:
        places["the local files"] = local_dir()
    kinds = {what: file_system_of(path) for what, path in places.items()}
    gone = [f"{what} ({kind})" for what, kind in kinds.items() if kind in VOLATILE]
    if gone:
        text = f"a reboot takes away: {', '.join(gone)}"
        return warn("after a reboot", text, "set RECOST_STATE_DIR and RECOST_LOCAL_DIR to a disk")
    inside = [f"{what} ({kind})" for what, kind in kinds.items() if kind in CONTAINER]
    if inside:
        text = f"they go with the container: {', '.join(inside)}"
        return warn(
            "after a reboot", text, "mount a volume there, or name one in RECOST_STATE_DIR and RECOST_LOCAL_DIR"
        )
    kept = ", ".join(f"{what} in {places[what]}{f' ({kind})' if kind else ''}" for what, kind in kinds.items())
    runtime = runtime_dirs()[0]
    kind = file_system_of(runtime)
    if kind and kind not in VOLATILE:
        text = f"rings, with the API key in cloud mode, are on a disk: {runtime} ({kind})"
        return warn("after a reboot", text, "name a directory in memory in RECOST_RUNTIME_DIR, below /dev/shm")
    rings = "; not there: rings and keys, which are in memory" if kind else ""
    return ok("after a reboot", f"there still: {kept}{rings}")
