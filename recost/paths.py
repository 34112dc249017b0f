"""Where recost keeps its files, whose they must be, and what identifies this machine's run and a process in it.

    runtime directory   rings, locks: gone after a reboot, in memory where that is possible
    state directory     spool and log: must survive a reboot, on a disk of this machine
    local directory     the user's telemetry files

The functions that end in ``_dir`` decide and make nothing, so that workers, collector and command line come to
the same answer.  ``open_private_dir`` makes.  A name in a sticky directory can be guessed: whoever made it first
owns it, and everything that we trust hangs on that check.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import sys
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from recost._mounts import file_system, network_file_system, read_mountinfo
from recost.origins import boot_id
from recost.ring.layout import MAJOR
from recost.system import CLOSELY, DIRECTORY, HAS_OWNERS, SHARES, is_ours, pwd, user_id

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the name below it is checked for owner, link and mode
TEMP_DIRECTORIES = ("/tmp", "/var/tmp")  # noqa: S108 - likewise
LASTING_TEMP = "/var/tmp"  # noqa: S108 - likewise
OWNER_ONLY = 0o700
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class PrivateDirError(OSError):
    """A directory that must be ours alone may be somebody else's. ``found`` says what is wrong with it."""

    def __init__(self, path: str, found: str) -> None:
        text = (
            f"refused, {found}: want a directory of uid {user_id()} alone; name one that does not exist yet"
            " (RECOST_RUNTIME_DIR, RECOST_STATE_DIR), it is made with mode 0700"
        )
        super().__init__(errno.EPERM, text, path)
        self.found = found

    def __reduce__(self) -> tuple[type[PrivateDirError], tuple[str, str]]:
        return PrivateDirError, (self.filename, self.found)


class StateDir(NamedTuple):
    """Where state goes, and why not where it should; ``degraded`` is empty or a complete sentence."""

    path: str
    degraded: str


def runtime_dir(environ: Mapping[str, str] = os.environ) -> str:
    """The directory of rings and locks. Processes of one uid that see the same one share a collector."""
    chosen = environ.get("RECOST_RUNTIME_DIR", "").strip()
    if not SHARES:
        return os.path.join(private_dirs(environ), f"{os.getpid()}-{_token()}")
    if chosen:
        return absolute(chosen, environ)
    if is_writable(SHARED_MEMORY):
        return f"{SHARED_MEMORY}/recost-{user_id()}-v{MAJOR}"
    return os.path.join(_first_writable((*_wanted(environ), *TEMP_DIRECTORIES)), _temporary_name())


def private_dirs(environ: Mapping[str, str] = os.environ) -> str:
    """Where processes that share no collector have a runtime directory each."""
    chosen = environ.get("RECOST_RUNTIME_DIR", "").strip()
    if chosen:
        return absolute(chosen, environ)
    return os.path.join(_first_writable((*_wanted(environ), *TEMP_DIRECTORIES)), f"recost-{user_id()}-v{MAJOR}")


def runtime_dirs(environ: Mapping[str, str] = os.environ) -> list[str]:
    """``runtime_dir`` and, unless that is a temporary one itself, the one for rings that do not fit there.

    The second follows from the first alone: a collector must find what a worker with another ``TMPDIR`` put there,
    and the collectors of two runtime directories must not meet in it.
    """
    first = runtime_dir(environ)
    if not SHARES or os.path.basename(first) == _temporary_name():
        return [first]
    chosen = environ.get("RECOST_RUNTIME_DIR", "").strip()
    name = _temporary_name() + (f"-{zlib.crc32(os.fsencode(first)):08x}" if chosen else "")
    return [first, os.path.join(_first_writable(TEMP_DIRECTORIES), name)]


def state_dir(environ: Mapping[str, str] = os.environ) -> StateDir:
    """The directory of spool and log: the configured one, or the first of the lesser ones that will do."""
    chosen = environ.get("RECOST_STATE_DIR", "").strip()
    path = absolute(chosen, environ) if chosen else os.path.join(home_dir(environ), ".recost", "state")
    mounts = read_mountinfo()
    trouble = _state_trouble(path, mounts)
    if not trouble:
        return StateDir(path, "")
    lesser = lesser_state_dir()
    lesser_trouble = _state_trouble(lesser, mounts)
    if lesser_trouble:
        trouble, lesser = f"{trouble}, {lesser_trouble}", runtime_dir(environ)
    return StateDir(lesser, degraded_state(lesser, trouble))


def degraded_state(path: str, trouble: str) -> str:
    """What is said of state that is not where it should be; ``trouble``: why not."""
    return f"state is kept in {path}: {trouble}; set RECOST_STATE_DIR to a directory of this user on a local disk"


def lesser_state_dir() -> str:
    """Where state goes when its own directory will not do, and where some may be from such a time."""
    return f"{LASTING_TEMP}/recost-{user_id()}"


def local_dir(environ: Mapping[str, str] = os.environ) -> str:
    """The directory of the local telemetry files."""
    chosen = environ.get("RECOST_LOCAL_DIR", "").strip()
    if chosen:
        return absolute(chosen, environ)
    return os.path.join(home_dir(environ), ".recost", "local-telemetry")


def absolute(path: str, environ: Mapping[str, str] = os.environ) -> str:
    """``path`` from a variable: below the working directory if relative; a ``~`` may have come unexpanded."""
    if path == "~" or path.startswith("~/"):
        path = home_dir(environ) + path[1:]
    try:
        return os.path.abspath(path)
    except FileNotFoundError:  # the working directory was removed
        return os.path.normpath(f"/{path}")


def file_system_of(path: str) -> str:
    """The type of the file system that holds ``path``, which need not exist; empty where that cannot be told."""
    return file_system(os.path.realpath(path), read_mountinfo())


def home_dir(environ: Mapping[str, str] = os.environ) -> str:
    """``$HOME``; the home of the effective user where that one is not writable: a server dropped its privileges."""
    home = environ.get("HOME", "")
    home = home if os.path.isabs(home) else ""
    if home and (is_writable(home) or is_writable(os.path.join(home, ".recost"))):
        return home
    if pwd is None:
        return os.path.expanduser("~")
    try:
        return str(pwd.getpwuid(user_id()).pw_dir) or home or "/"
    except KeyError:  # a container's uid without a name
        return home or "/"


def open_private_dir(path: str) -> int:
    """A descriptor of ``path``, made with its parents (mode 0700) if missing. The caller closes it.

    Raises ``PrivateDirError`` for a link, for another owner's, and for one that others may write: they can
    have put files in it. One that others may only read becomes 0700, unless more than recost's is in it for sure: ``/``
    or a home. Any other ``OSError`` passes.
    """
    path = os.path.abspath(path)  # a trailing slash would follow a link
    try:
        fd = _open_dir(path)
    except FileNotFoundError:
        make_dirs(path)
        fd = _open_dir(path)
    try:
        found = os.fstat(fd)
        _refuse_unsafe(path, found)
        if stat.S_IMODE(found.st_mode) & 0o777 != OWNER_ONLY:
            if is_above_others(path):
                raise PrivateDirError(path, "more than recost's is in it, and mode 0700 would lock others out")
            os.fchmod(fd, OWNER_ONLY)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_private_dir(path: str) -> None:
    """For who only looks: raises what ``open_private_dir`` would, ``FileNotFoundError`` where it would make one."""
    if not HAS_OWNERS:
        _refuse_no_directory(path)
        return
    fd = _open_dir(os.path.abspath(path))
    try:
        _refuse_unsafe(path, os.fstat(fd))
    finally:
        os.close(fd)


def is_above_others(path: str) -> bool:
    """Whether ``path`` is, or holds, a home, the interpreter or the temp directory."""
    inner = (home_dir(), sys.prefix, SHARED_MEMORY, *TEMP_DIRECTORIES)
    real = os.path.realpath(path)
    return any(os.path.commonpath((real, os.path.realpath(place))) == real for place in inner)


def make_private_dir(path: str) -> None:
    """As ``open_private_dir``, for who needs no descriptor."""
    if HAS_OWNERS:
        os.close(open_private_dir(path))
    else:
        make_dirs(os.path.abspath(path))
        _refuse_no_directory(path)


def make_dirs(path: str) -> None:
    """Make absolute ``path`` and what is missing above it, each for its owner alone; what exists stays as it is."""
    try:
        os.mkdir(path, OWNER_ONLY)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_dirs(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.mkdir(path, OWNER_ONLY)


def _wanted(environ: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP"))


@functools.cache
def _token() -> str:
    """Of this process: another one may get its pid."""
    return os.urandom(4).hex()


def _temporary_name() -> str:
    # The temp directory may survive a reboot, the rings in it must not be read again after one.
    return f"recost-{user_id()}-v{MAJOR}-{boot_id().hex()[:8]}"


def _first_writable(directories: tuple[str, ...]) -> str:
    return next((path for path in directories if os.path.isabs(path) and is_writable(path)), directories[-1])


def is_writable(directory: str) -> bool:
    """Whether it is a directory in which the effective user can make files."""
    effective = os.access in os.supports_effective_ids
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK, effective_ids=effective)


def _open_dir(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | DIRECTORY | CLOSELY)
    except OSError as exc:
        if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise PrivateDirError(path, _no_directory(path)) from None


def _no_directory(path: str) -> str:
    return "it is a link" if os.path.islink(path) else "it is no directory, or below a file"


def _refuse_no_directory(path: str) -> None:
    """Where there is nothing else to look at: no owner, and no mode."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise PrivateDirError(path, _no_directory(path))


def _refuse_unsafe(path: str, found: os.stat_result) -> None:
    if not is_ours(found):
        raise PrivateDirError(path, f"it is owned by uid {found.st_uid}")
    if found.st_mode & WRITABLE_BY_OTHERS:
        raise PrivateDirError(path, f"its mode is {stat.S_IMODE(found.st_mode):04o}, others may write to it")


def _state_trouble(path: str, mountinfo: str) -> str:
    """Why ``path`` cannot hold state; empty when it can. Makes nothing."""
    kind = network_file_system(os.path.realpath(path), mountinfo)
    if kind:
        return f"{path} is on a network file system ({kind})"
    try:
        check_private_dir(path)
    except FileNotFoundError:
        above = nearest_existing(path)
        return "" if is_writable(above) else f"{above} is not writable"
    except OSError as exc:
        return _reason(path, exc)
    return "" if is_writable(path) else f"{path} is not writable"


def _reason(path: str, exc: OSError) -> str:
    return f"{path}: {exc.found if isinstance(exc, PrivateDirError) else exc.strerror}"


def nearest_existing(path: str) -> str:
    """``path``, or the nearest above it that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path
