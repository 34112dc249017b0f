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

from recost.event import UNDECODABLE
from recost_collector.local_files import Opened, open_project, projects
from recost_collector.sums import Sums
from recost_collector.untagged import NO_MODEL, UNTAGGED, Untagged, WithoutModel
from recost_collector.window_line import (
    MAX_LINE_BYTES,
    Entry,
    LlmEntry,
    Reason,
    TagEntry,
    Window,
    decode_entries,
    decode_head,
    decode_llm_entries,
    decode_tag_entries,
    why_undecodable,
)

Key = tuple[str, ...]


class Grouping(NamedTuple):
    """What makes a group: the names of its key's parts, and how an entry tells them."""

    columns: tuple[str, ...]
    key_of: Optional[Callable[[Window, Entry], Key]] = None
    """None: the entries of a view are the groups, and what the view leaves out."""


GROUPINGS = {
    "provider": Grouping(("provider",), lambda _window, entry: (entry.provider,)),
    "endpoint": Grouping(("provider", "endpoint"), lambda _window, entry: (entry.provider, entry.endpoint)),
    "environment": Grouping(("environment",), lambda window, _entry: (window.environment,)),
    "model": Grouping(("provider", "model")),
    "tag": Grouping(("tag",)),
}


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
        self._untagged = Untagged() if grouping is GROUPINGS["tag"] else None
        self._without_model = WithoutModel() if grouping is GROUPINGS["model"] else None

    def ranking(self) -> list[tuple[Key, Sums]]:
        """The groups, the dearest first, then those with the most calls."""
        return sorted(self.groups.items(), key=lambda item: (-item[1].cost_pico_usd, -item[1].calls, item[0]))

    def total(self) -> Sums:
        if self._untagged is not None:
            return self._untagged.all
        if self._without_model is not None:
            return self._without_model.all
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
        if self._untagged is not None:
            self._add_rest((UNTAGGED,), self._untagged.rest())
        if self._without_model is not None:
            self._add_rest((NO_MODEL, NO_MODEL), self._without_model.rest())

    def _add_rest(self, key: Key, rest: Sums) -> None:
        if rest.calls or rest.cost_pico_usd:
            self._group(key).merge(rest)

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
        tagged = decode_tag_entries(window) if counts and self._untagged is not None else []
        llm = decode_llm_entries(window) if counts and self._without_model is not None else []
        self.newest = start if self.newest is None else max(self.newest, start)
        if not counts:
            return
        self.windows += 1
        self.first = start if self.first is None else min(self.first, start)
        self.last = window.window_end if self.last is None else max(self.last, window.window_end)
        self._add_entries(window, entries, tagged)
        if self._without_model is not None:
            self._add_llm_entries(self._without_model, entries, llm)

    def _add_llm_entries(self, rest: WithoutModel, entries: list[Entry], llm: list[LlmEntry]) -> None:
        rest.add(entries, llm)
        for part in llm:
            self._group((part.provider, part.model)).add_llm(part)

    def _add_entries(self, window: Window, entries: list[Entry], tagged: list[TagEntry]) -> None:
        key_of = self.grouping.key_of
        if key_of is not None:
            for entry in entries:
                self._group(key_of(window, entry)).add(entry)
        elif self._untagged is not None:
            self._untagged.add(entries, tagged)
            for part in tagged:
                self._group((part.feature_tag,)).add(part)

    def _group(self, key: Key) -> Sums:
        sums = self.groups.get(key)
        if sums is None:
            sums = self.groups[key] = Sums()
        return sums
