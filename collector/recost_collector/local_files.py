"""The telemetry files of a directory: ``shop.jsonl`` of the project ``shop``, and ``shop.1.jsonl``, its rotated one.

Collectors rotate and delete them at any time.
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO, NamedTuple, Optional, Union

from recost.system import AT_ONCE, BINARY

SUFFIX = ".jsonl"
ROTATED = ".1"
LLM_LOGS = (".llm.jsonl", ".llm.1.jsonl")
"""Logs of single LLM calls: no windows."""
_MAX_TRIES = 100
"""To open two files with no rotation in between. Rotations are rare: hardly ever is there a second try."""

Identity = tuple[int, int]
"""Device and inode."""


class Opened(NamedTuple):
    """A file, open from its beginning, which the caller closes; or in ``trouble`` why it cannot be opened."""

    path: str
    identity: Optional[Identity] = None
    file: Optional[BinaryIO] = None
    trouble: str = ""


def projects(directory: str) -> list[str]:
    """Those that have a file. Raises ``OSError`` when the directory cannot be listed."""
    with os.scandir(directory) as found:
        names = {entry.name for entry in found if entry.name.endswith(SUFFIX) and entry.is_file()}
    stems = {name[: -len(SUFFIX)] for name in names if not name.endswith(LLM_LOGS)}
    return sorted(stem for stem in stems if not _is_rotated(stem, stems))


def open_project(directory: str, project: str) -> list[Opened]:
    """The current file and the rotated one, those that exist, as they were at one moment."""
    path = os.path.join(directory, project)
    tries = 1
    current, rotated = _open(path + SUFFIX), _open(path + ROTATED + SUFFIX)
    # Rotated in between, the same file would come under both names, or the one between two be missed.
    while current.identity != _identity(current.path) and tries < _MAX_TRIES:
        _close(current)
        _close(rotated)
        tries += 1
        current, rotated = _open(path + SUFFIX), _open(path + ROTATED + SUFFIX)
    return [opened for opened in (current, rotated) if opened.file is not None or opened.trouble]


def _is_rotated(stem: str, stems: set[str]) -> bool:
    """``v1.1`` is the rotated file of ``v1`` where there is one, else a project with such a name."""
    return stem.endswith(ROTATED) and stem[: -len(ROTATED)] in stems


def _open(path: str) -> Opened:
    try:
        fd = os.open(path, os.O_RDONLY | BINARY | AT_ONCE)  # a fifo would block
    except FileNotFoundError:
        return Opened(path)
    except OSError as exc:
        return Opened(path, _identity(path), trouble=exc.strerror or str(exc))
    identity = _identity(fd)
    if identity is None:
        os.close(fd)
        return Opened(path)
    return Opened(path, identity, open(fd, "rb"))


def _close(opened: Opened) -> None:
    if opened.file is not None:
        opened.file.close()


def _identity(place: Union[str, int]) -> Optional[Identity]:
    """None when there is no regular file."""
    try:
        status = os.stat(place)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
