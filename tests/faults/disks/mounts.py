"""File systems of a row's own: small, without inodes, read-only. In a mount namespace that ends with the row."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from tests.faults.row import Trial

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def enter_namespace(trial: Trial) -> None:
    """From here on this process and its children have mounts of their own. Skips the row where that is refused."""
    try:
        if os.geteuid() == 0:
            _unshare(CLONE_NEWNS)
        else:
            _become_root_of_a_namespace()
        _mount(None, "/", None, MS_REC | MS_PRIVATE)
    except OSError as exc:
        trial.skip(f"needs a mount namespace: {exc.strerror}")


def mount_tmpfs(path: Path, options: str) -> None:
    """A new tmpfs at ``path``, for its owner alone."""
    _mount("recost-torture", str(path), "tmpfs", 0, f"mode=0700,{options}")


def make_read_only(path: Path) -> None:
    """What is at ``path`` can no longer be written there."""
    _mount(str(path), str(path), None, MS_BIND)
    _mount(None, str(path), None, MS_BIND | MS_REMOUNT | MS_RDONLY)


def make_writable(path: Path) -> None:
    """The end of ``make_read_only``."""
    _mount(None, str(path), None, MS_BIND | MS_REMOUNT)


def fill(path: Path, leave_bytes: int = 0) -> Path:
    """A file that takes all room of the file system at ``path`` but so many bytes. Unlink it to free the room."""
    filler = path / "somebody-elses"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass
        free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
        while free:
            file.write(bytes(min(free, 1 << 12)))
            free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
        if leave_bytes:
            file.truncate(max(0, file.tell() - leave_bytes))
    return filler


def _become_root_of_a_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _unshare(CLONE_NEWUSER | CLONE_NEWNS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise _last_error()


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    if _libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data)):
        raise _last_error()


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
