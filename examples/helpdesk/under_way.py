"""Which calls are under way in a process, noted where not even SIGKILL can lose it.

The demo needs to know how many calls a worker had begun and not finished when it was killed, from somebody other than
recost.  ``HELPDESK_UNDER_WAY`` names a folder; without it nothing is noted.  Each process appends to a file of its own,
one line and one ``write`` per begin and end, so threads need no lock, and what was written survives the writer.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator

VARIABLE = "HELPDESK_UNDER_WAY"
BEGUN, ENDED = "+", "-"

_files: dict[int, int] = {}
"""Descriptor by pid: a forked child has a file of its own."""


@contextlib.contextmanager
def under_way(provider: str, path: str) -> Iterator[None]:
    """The block is one call of ``path`` at ``provider``."""
    _note(f"{BEGUN}{provider} {path}\n")
    try:
        yield
    finally:
        _note(f"{ENDED}{provider} {path}\n")


def read_under_way(folder: str) -> dict[int, Counter[tuple[str, str]]]:
    """Calls by (provider, path) that each process has begun and not finished. Exact for one that is dead."""
    return {int(name): _read(os.path.join(folder, name)) for name in os.listdir(folder)}


def _note(line: str) -> None:
    folder = os.environ.get(VARIABLE)
    if folder:
        os.write(_file(folder), line.encode())


def _file(folder: str) -> int:
    pid = os.getpid()
    if pid not in _files:  # two threads may both open it, which does no harm
        _files[pid] = os.open(os.path.join(folder, str(pid)), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return _files[pid]


def _read(path: str) -> Counter[tuple[str, str]]:
    calls: Counter[tuple[str, str]] = Counter()
    with open(path, encoding="utf-8") as file:
        for line in file:
            provider, _, what = line[1:].rstrip("\n").partition(" ")
            calls[provider, what] += 1 if line.startswith(BEGUN) else -1
    return +calls
