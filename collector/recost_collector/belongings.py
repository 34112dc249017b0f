"""Every file of recost that is this user's, by directory; what would be lost with it, and who still uses it.

Known by their whole names, one directory at a time: a directory that a setting names may hold files of somebody else's,
and those are not ours to remove.  Looks only.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import stat
from collections.abc import Callable, Iterator
from typing import Optional

import msgspec

from recost.leader import WAKE, has_leader, read_leader
from recost.paths import SHARED_MEMORY, TEMP_DIRECTORIES, lesser_state_dir, local_dir, runtime_dirs, state_dir
from recost.ring.files import RING_PREFIX
from recost.ring.layout import HEAD, HEADER_WORDS, PAGE, TAIL, WORD, BadRing, OtherLayout, unpack_header
from recost.system import try_lock, unlock
from recost_collector.local_files import LLM_LOGS, SUFFIX
from recost_collector.request_box import FOLDER
from recost_collector.request_box import OURS as REQUEST_FILES
from recost_collector.spool_place import LOCK_FILE, is_private_dir

STATE_FILES = re.compile(r"collector\.log(\.1)?")
RUNTIME_FILES = re.compile(
    r"(ring|new)-[0-9a-f]{32}|key-[0-9a-f]{20}~?|mark-[0-9a-f]{8}|leader\.(lock|json~?)|spawn\.lock|wake|spool-id~?"
    f"|{STATE_FILES.pattern}"
)
SPOOL_FILES = re.compile(r"spool\.sqlite3.*|spool\.lock|[0-9a-f]{20}\.intent(\.new)?|quarantine\.bin")
TELEMETRY_FILES = re.compile(f".*{re.escape(SUFFIX)}", re.DOTALL)
SPOOL_NAME = "[0-9a-f]" * 16
WINDOW_START = b'{"protocolVersion"'
"""How each line of a telemetry file begins."""


class Belonging(msgspec.Struct):
    path: str
    bytes: int


class Folder(msgspec.Struct):
    """One directory and what is ours in it. ``used_by``: processes that still work with it."""

    path: str
    kind: str
    files: list[Belonging] = []
    used_by: list[str] = []
    uncollected_bytes: int = 0
    """In its rings, of calls that no collector has read."""


def find(*, local: bool) -> list[Folder]:
    """In the order in which they can be removed."""
    folders: list[Folder] = []
    for path in _runtimes():
        folders += _runtime(path)
    for path in _states():
        folders += _state(path)
    if local:
        folders.append(_folder(local_dir(), "telemetry", TELEMETRY_FILES, _is_telemetry))
    return [folder for folder in folders if folder.files]


def telemetry() -> Folder:
    """The user's own telemetry files, which go only when they are asked for."""
    return _folder(local_dir(), "telemetry", TELEMETRY_FILES, _is_telemetry)


def _runtimes() -> list[str]:
    """Those that the settings lead to; without a setting also those of other boots and other layouts."""
    found = runtime_dirs()
    if not os.environ.get("RECOST_RUNTIME_DIR", "").strip():
        for above in (SHARED_MEMORY, *TEMP_DIRECTORIES):
            found += glob.glob(f"{glob.escape(above)}/recost-{os.geteuid()}-v*")
    return [path for path in dict.fromkeys(found) if is_private_dir(path)]


def _states() -> list[str]:
    found = [state_dir().path]
    if not os.environ.get("RECOST_STATE_DIR", "").strip():
        found.append(lesser_state_dir())
    return [path for path in dict.fromkeys(found) if is_private_dir(path)]


def _runtime(path: str) -> list[Folder]:
    folder = _folder(path, "runtime", RUNTIME_FILES, _is_pipe_if_wake)
    for belonging in folder.files:
        if os.path.basename(belonging.path).startswith(RING_PREFIX):
            _look_at_ring(belonging.path, folder)
    # Asked without the spawn lock: the probe is over in an instant, and a collector that starts waits it out.
    if any(os.path.basename(found.path) == "leader.lock" for found in folder.files) and has_leader(path):
        leader = read_leader(path)
        folder.used_by.insert(0, f"collector {leader.pid}" if leader is not None else "a collector")
    requests = os.path.join(path, FOLDER)
    inner = [_folder(requests, "requests", REQUEST_FILES)] if is_private_dir(requests) else []
    return [*inner, *_spools(path), folder]


def _state(path: str) -> list[Folder]:
    return [*_spools(path), _folder(path, "state", STATE_FILES)]


def _spools(above: str) -> list[Folder]:
    folders = []
    for path in sorted(glob.glob(f"{glob.escape(above)}/{SPOOL_NAME}")):
        if is_private_dir(path):
            folder = _folder(path, "spool", SPOOL_FILES)
            if _is_locked(os.path.join(path, LOCK_FILE)):
                folder.used_by.append("a collector")
            folders.append(folder)
    return folders


def _folder(path: str, kind: str, names: re.Pattern[str], holds: Optional[Callable[[str], bool]] = None) -> Folder:
    """The files there with these names, if ``holds``, where given, says that what is in it is ours, too."""
    folder = Folder(path, kind)
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(path)):
            full = os.path.join(path, name)
            found = os.lstat(full)
            is_file = not stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
            if is_file and names.fullmatch(name) and (holds is None or holds(full)):
                folder.files.append(Belonging(full, found.st_size))
    return folder


def _is_telemetry(path: str) -> bool:
    """A file of windows, or the log of LLM calls beside one: a directory of the user's may hold other ones."""
    for ending in LLM_LOGS:
        if path.endswith(ending):
            return _is_telemetry(path[: -len(ending)] + SUFFIX)
    with (
        contextlib.suppress(OSError),
        open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file,
    ):
        return file.read(len(WINDOW_START)) in {WINDOW_START, b""}
    return False


def _is_pipe_if_wake(path: str) -> bool:
    """The one name of ours that anybody might give a file."""
    return os.path.basename(path) != WAKE or stat.S_ISFIFO(os.lstat(path).st_mode)


def _look_at_ring(path: str, folder: Folder) -> None:
    """Who writes it, and what nobody has read of it."""
    with contextlib.suppress(OSError, BadRing, OtherLayout), _opened(path) as fd:
        size = os.fstat(fd).st_size
        header = unpack_header(os.pread(fd, HEADER_WORDS * WORD, 0), size)
        words = memoryview(os.pread(fd, 2 * PAGE, 0)).cast("Q")
        folder.uncollected_bytes += max(0, min(words[TAIL] - words[HEAD], header.capacity))
        if _is_held(fd):
            folder.used_by.append(f"worker {header.pid}")


def _is_locked(path: str) -> bool:
    with contextlib.suppress(OSError), _opened(path) as fd:
        return _is_held(fd)
    return False


def _is_held(fd: int) -> bool:
    """A probe, over in an instant."""
    free = try_lock(fd)
    if free:
        unlock(fd)
    return not free


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
