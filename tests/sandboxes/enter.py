"""Runs a program in a sandbox.

    python -m tests.sandboxes.enter RESTRICTION… -- PROGRAM ARGUMENT…

The restrictions are real ones of the kernel, for this process and its children; ``windows`` and ``no-locks`` alone are
made here, by taking away what such a system does not have.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import runpy
import struct
import sys
from pathlib import Path

import tests.sandboxes.windows

CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
CLONE_THREAD = 0x10000
LOAD, EQUAL, HAS_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
OFFSET_CALL, OFFSET_ARCH, OFFSET_FIRST_ARGUMENT = 0, 4, 16
ARCHITECTURES = {
    # the kernel's number of the architecture, clone, clone3, and all that starts a process or a program
    "x86_64": (0xC000003E, 56, 435, (57, 58, 59, 322)),
    "aarch64": (0xC00000B7, 220, 435, (221, 281)),
}

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    at = sys.argv.index("--")
    restrictions, sys.argv = sys.argv[1:at], sys.argv[at + 1 :]
    for restriction in restrictions:
        name, _, argument = restriction.partition("=")
        RESTRICTIONS[name](argument)
    runpy.run_path(sys.argv[0], run_name="__main__")


def no_shared_memory(_: str) -> None:
    """What AWS Lambda has at /dev/shm: nothing that can be written to."""
    _own_mounts()
    _mount("none", "/dev/shm", "tmpfs", MS_RDONLY, "size=4k,mode=0555")


def read_only(writable: str) -> None:
    """Every mount, the root's first, but for ``writable``, which may be empty."""
    _own_mounts()
    if writable:
        _mount(writable, writable, None, MS_BIND | MS_REC)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point != writable and not point.startswith(("/proc", "/sys")):
            try:
                _mount(None, point, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
            except OSError as exc:  # one that another mount hides
                if exc.errno not in (errno.EINVAL, errno.ENOENT, errno.EACCES):
                    raise


def no_processes(_: str) -> None:
    """A seccomp filter that refuses fork, vfork, clone and exec, and lets threads be."""
    _filter(REFUSE | errno.EPERM)


def deadly_processes(_: str) -> None:
    """The same, and who tries is killed."""
    _filter(KILL)


def windows(_: str) -> None:
    tests.sandboxes.windows.enter(locks=True)


def no_locks(_: str) -> None:
    tests.sandboxes.windows.enter(locks=False)


RESTRICTIONS = {
    "no-shared-memory": no_shared_memory,
    "read-only": read_only,
    "no-processes": no_processes,
    "deadly-processes": deadly_processes,
    "windows": windows,
    "no-locks": no_locks,
}


def _filter(refusal: int) -> None:
    architecture, clone, clone3, others = ARCHITECTURES[platform.machine()]
    program = [
        (LOAD, 0, 0, OFFSET_ARCH),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, OFFSET_CALL),
        (EQUAL, 0, 1, clone3),  # its flags are in memory, which a filter cannot see: the C library falls back to clone
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
        *[step for number in others for step in ((EQUAL, 0, 1, number), (RETURN, 0, 0, refusal))],
        (EQUAL, 0, 3, clone),
        (LOAD, 0, 0, OFFSET_FIRST_ARGUMENT),
        (HAS_BIT, 1, 0, CLONE_THREAD),
        (RETURN, 0, 0, refusal),
        (RETURN, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    _prctl(PR_SET_NO_NEW_PRIVS, 1, 0)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header))


def _own_mounts() -> None:
    _check(_libc.unshare(CLONE_NEWNS))
    _mount(None, "/", None, MS_REC | MS_PRIVATE)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data)))


def _prctl(option: int, first: int, second: int) -> None:
    _check(_libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
