"""What the local files hold: each window of a directory, read once, line by line, and added up per group.

A collector may append, rotate or delete meanwhile.  A line that is no window is skipped and counted by reason, a file
that cannot be read is named; neither ends the reading.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO, NamedTuple, Optional

from recost.bucket import pico_usd
from recost.event import UNDECODABLE
from recost_collector.local_files import Opened, open_project, projects
from recost_collector.window_line import (
    MAX_LINE_BYTES,
    Entry,
    Reason,
    Window,
    decode_entries,
    decode_head,
    why_undecodable,
)

Key = tuple[str, ...]


class Grouping(NamedTuple):
    """What makes a group: the names of its key's parts, and how an entry tells them."""

    columns: tuple[str, ...]
    key_of: Callable[[Window, Entry], Key]


GROUPINGS = {
    "provider": Grouping(("provider",), lambda _window, entry: (entry.provider,)),
    "endpoint": Grouping(("provider", "endpoint"), lambda _window, entry: (entry.provider, entry.endpoint)),
    "environment": Grouping(("environment",), lambda window, _entry: (window.environment,)),
}


class Sums:
    """What the entries of a group add up to. Of percentiles only the highest can be told."""

    __slots__ = ("calls", "cost_pico_usd", "errors", "max_p50_ms", "max_p95_ms", "request_bytes", "response_bytes")

    def __init__(self) -> None:
        self.calls = 0
        self.errors = 0
        self.max_p50_ms = 0.0
        self.max_p95_ms = 0.0
        self.request_bytes = 0
        self.response_bytes = 0
        self.cost_pico_usd = 0

    def add(self, entry: Entry) -> None:
        self.calls += entry.request_count
        self.errors += entry.error_count
        self.request_bytes += entry.total_request_bytes
        self.response_bytes += entry.total_response_bytes
        self.cost_pico_usd += pico_usd(entry.estimated_cost_cents)
        self._lift(entry.p50_latency_ms, entry.p95_latency_ms)

    def merge(self, other: Sums) -> None:
        self.calls += other.calls
        self.errors += other.errors
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        self.cost_pico_usd += other.cost_pico_usd
        self._lift(other.max_p50_ms, other.max_p95_ms)

    def _lift(self, p50_ms: float, p95_ms: float) -> None:
        if p50_ms > self.max_p50_ms:  # noqa: PLR1730 - max() is a call, and this is done for each entry
            self.max_p50_ms = p50_ms
        if p95_ms > self.max_p95_ms:  # noqa: PLR1730 - likewise
            self.max_p95_ms = p95_ms


class History:
    """What the windows of a directory add up to. Empty until ``read``, the only one that changes it."""

    def __init__(self, grouping: Grouping, since: Optional[datetime]) -> None:
        self.grouping = grouping
        self.since = since
        self.known_projects: list[str] = []
        """All that have a file, asked for or not."""
        self.projects: list[str] = []
        """Those of which a window counted."""
        self.windows = 0
        self.first: Optional[datetime] = None
        """Start of the first window that counted."""
        self.last: Optional[datetime] = None
        """End of the last one."""
        self.newest: Optional[datetime] = None
        """Start of the newest window, whether it counted or is too old."""
        self.groups: dict[Key, Sums] = {}
        self.skipped: Counter[tuple[str, Reason]] = Counter()
        """Lines, by file and reason."""
        self.unread: dict[str, str] = {}
        """Why, by file."""

    def ranking(self) -> list[tuple[Key, Sums]]:
        """The groups, the dearest first, then those with the most calls."""
        return sorted(self.groups.items(), key=lambda item: (-item[1].cost_pico_usd, -item[1].calls, item[0]))

    def total(self) -> Sums:
        total = Sums()
        for sums in self.groups.values():
            total.merge(sums)
        return total

    def read(self, directory: str, project: Optional[str] = None) -> None:
        """Add up the windows of ``directory``; those of one project, if named. Once.

        Raises ``OSError`` when the directory cannot be listed.
        """
        self.known_projects = projects(directory)
        for name in self.known_projects:
            if project is None or name == project:
                self._read_project(name, open_project(directory, name))

    def _read_project(self, project: str, files: list[Opened]) -> None:
        before = self.windows
        for opened in files:
            if opened.file is None:
                self.unread[opened.path] = opened.trouble
                continue
            with opened.file:
                self._read_file(opened.path, opened.file)
        if self.windows > before:
            self.projects.append(project)

    def _read_file(self, path: str, file: BinaryIO) -> None:
        try:
            for line in iter(functools.partial(file.readline, MAX_LINE_BYTES), b""):
                try:
                    self._add_line(line)
                except UNDECODABLE:
                    if line.strip():
                        self.skipped[path, why_undecodable(line)] += 1
        except OSError as exc:
            self.unread[path] = exc.strerror or str(exc)

    def _add_line(self, line: bytes) -> None:
        window = decode_head(line)
        start = window.window_start
        counts = self.since is None or start >= self.since
        entries = decode_entries(window) if counts else []
        self.newest = start if self.newest is None else max(self.newest, start)
        if not counts:
            return
        self.windows += 1
        self.first = start if self.first is None else min(self.first, start)
        self.last = window.window_end if self.last is None else max(self.last, window.window_end)
        for entry in entries:
            key = self.grouping.key_of(window, entry)
            sums = self.groups.get(key)
            if sums is None:
                sums = self.groups[key] = Sums()
            sums.add(entry)
