"""A pid namespace in which the next pid can be chosen: by themselves numbers come round in hours."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Callable

from tests.harness import run_child

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
MS_REC, MS_PRIVATE = 16384, 1 << 18
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")

_libc = ctypes.CDLL(None, use_errno=True)


def may_choose() -> str:
    """Empty, or why this process may not."""
    return "" if run_in_new_namespace(lambda: choose_next(100)) == 0 else "needs a pid namespace and ns_last_pid"


def run_in_new_namespace(work: Callable[[], object]) -> int:
    """Run ``work`` as pid 1 of a new namespace. 0: it returned. All who live there end with it."""

    def unshare_and_run() -> None:
        _enter()
        assert run_child(lambda: (_mount("proc", "/proc", "proc"), work())) == 0

    return run_child(unshare_and_run)


def choose_next(pid: int) -> None:
    """The next process of this namespace gets ``pid``, if that is free. For who alone forks in it."""
    LAST_PID.write_text(str(pid - 1))


def _enter() -> None:
    if os.geteuid() == 0:
        _call(_libc.unshare(CLONE_NEWPID | CLONE_NEWNS))
    else:
        uid, gid = os.geteuid(), os.getegid()
        _call(_libc.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _mount("none", "/", "", MS_REC | MS_PRIVATE)


def _mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    _call(_libc.mount(source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), None))


def _call(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
