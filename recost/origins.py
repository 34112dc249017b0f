"""Which boot, which namespaces, which process: what tells apart those that have the same number."""

from __future__ import annotations

import functools
import os
import sys

NO_BOOT_ID = bytes(16)


@functools.cache
def boot_id() -> bytes:
    """16 bytes that differ from boot to boot and are the same in all containers; zeros where there is none."""
    if sys.platform == "darwin":
        return _boot_id_of_macos()
    try:
        # Not as ASCII text: the codec is a module, and one that is being imported at a fork hangs the child's import.
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return _from_uuid(file.read().decode("utf-8", "replace"))
    except OSError:
        return NO_BOOT_ID


def pid_namespace() -> int:
    """Inode of this process's pid namespace, 0 where there is none."""
    return _inode("/proc/self/ns/pid")


def mount_namespace() -> int:
    """Inode of this process's mount namespace, 0 where there is none."""
    return _inode("/proc/self/ns/mnt")


def process_start(pid: int) -> int:
    """When ``pid`` started, in clock ticks since boot; 0 when it is gone or this cannot be known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            after_name = file.read().rpartition(b")")[2]  # the name may hold spaces and brackets
        return int(after_name.split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _from_uuid(text: str) -> bytes:
    try:
        return bytes.fromhex(text.strip().replace("-", "")).ljust(16, b"\0")[:16]
    except ValueError:
        return NO_BOOT_ID


def _boot_id_of_macos() -> bytes:
    import ctypes  # noqa: PLC0415 - macOS only, once per process

    text, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    found = ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", text, ctypes.byref(size), None, 0)
    return _from_uuid(text.value.decode("ascii", "replace")) if found == 0 else NO_BOOT_ID
