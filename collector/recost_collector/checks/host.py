"""Who works on this host: collector, workers, versions, and whether they look at the same directory."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import sys
from collections.abc import Iterator
from importlib import metadata

from recost import __version__
from recost.paths import SHARED_MEMORY, local_dir, runtime_dirs
from recost_collector.checks import Check, fail, ok, warn
from recost_collector.figures import listing, plural
from recost_collector.status import Status
from recost_collector.status_judge import WITHIN_DOCTOR

REQUIRED = ("msgspec", "filelock", "urllib3")
_MAPPED_RING = re.compile(rb"\s(/.+)/ring-[0-9a-f]{32}$")
"""A line of a process's map; a file that was removed has other words behind it."""


def check(status: Status, *, is_local: bool, excludes_loopback: bool) -> Iterator[Check]:
    yield _python()
    yield from _collection(status)
    yield from _versions(status)
    yield from _elsewhere(status)
    yield from _captured(status, is_local=is_local, excludes_loopback=excludes_loopback)


def _python() -> Check:
    names = [f"{name} {_version_of(name)}" for name in REQUIRED]
    text = f"recost {__version__}, {platform.python_implementation()} {platform.python_version()}"
    return ok("python", f"{text}, {', '.join(names)}, SQLite {sqlite3.sqlite_version} ({sys.prefix})")


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # put there by other means than an installer
        return "of unknown version"


def _collection(status: Status) -> Iterator[Check]:
    """What ``status`` finds."""
    for trouble in status.troubles:
        mend = WITHIN_DOCTOR.get(trouble.mend, trouble.mend)
        yield fail("collection", trouble.text, mend, status.exit_code or 1)
    if not status.problems:
        leader = status.leader if status.leading else None
        who = f"collector pid {leader.pid}, " if leader is not None else "no collector, and none is needed: "
        yield ok("collection", f"{who}{plural(len(status.rings), 'ring')}")


def _versions(status: Status) -> Iterator[Check]:
    versions = {ring.sdk_version: f"pid {ring.pid}" for ring in status.rings if ring.sdk_version}
    if status.leader is not None and status.leading:
        versions.setdefault(status.leader.version, f"the collector, pid {status.leader.pid}")
    versions.setdefault(__version__, "this command")
    if len(versions) > 1:
        text = ", ".join(f"{version} ({who})" for version, who in sorted(versions.items()))
        yield warn("versions", f"several of recost share this host: {text}", "restart those of the older one")


def _elsewhere(status: Status) -> Iterator[Check]:
    """Rings that this command does not look at: of another runtime directory, or another user."""
    mapped = _mapped_rings()
    if mapped:
        where = listing([f"{directory} (pid {pids[0]})" for directory, pids in sorted(mapped.items())])
        text = f"processes of this user have rings where no setting here leads to: {where}"
        mend = f"RECOST_RUNTIME_DIR={min(mapped)} recost-collector … looks there; give all the same directory"
        yield warn("other directory", text, mend)
    if status.rings:
        return
    others = _other_users()
    if others:
        text = f"you are uid {os.geteuid()} and nothing is collected for it, but there is: {listing(others)}"
        yield warn("other user", text, "ask as the user of the workers: sudo -u USER recost-collector doctor")


def _mapped_rings() -> dict[str, list[int]]:
    """Directories of rings that processes of this user have mapped, other than those we look at."""
    ours = {os.path.realpath(path) for path in runtime_dirs()}
    found: dict[str, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdecimal():
            for directory in _mapped_by(name) - ours:
                found.setdefault(directory, []).append(int(name))
    return found


def _mapped_by(pid: str) -> set[str]:
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            matches = [_MAPPED_RING.search(line.rstrip(b"\n")) for line in file]
    except OSError:  # it has ended, or is another user's
        return set()
    return {os.fsdecode(match.group(1)) for match in matches if match}


def _other_users() -> list[str]:
    ours = f"recost-{os.geteuid()}-"
    try:
        names = os.listdir(SHARED_MEMORY)
    except OSError:  # there is none, or it cannot be listed
        return []
    return sorted(
        os.path.join(SHARED_MEMORY, name)
        for name in names
        if re.fullmatch(r"recost-\d+-v\d+", name) and not name.startswith(ours)
    )


def _captured(status: Status, *, is_local: bool, excludes_loopback: bool) -> Iterator[Check]:
    """Whether anything ever was; if not, what is the reason most often."""
    left_out = "calls to localhost, 127.0.0.1 and ::1 are left out in local mode"
    mend = "init(exclude_loopback=False) or RECOST_EXCLUDE_LOOPBACK=0 captures them"
    leaves_out = is_local and excludes_loopback
    if not (status.rings or status.destinations or any(status.totals.values()) or _has_windows(local_dir())):
        hint = f"; {left_out}" if leaves_out else ""
        what = f"is init() called in the workers, as this user?{f' {mend}' if leaves_out else ''}"
        yield warn("captured", f"no call was ever captured here{hint}", what)
    elif leaves_out:
        yield ok("captured", f"calls were; {left_out} ({mend})")
    else:
        yield ok("captured", "calls were")


def _has_windows(directory: str) -> bool:
    try:
        return any(name.endswith(".jsonl") for name in os.listdir(directory))
    except OSError:
        return False
