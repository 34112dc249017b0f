"""What the local files hold: each window of a directory, read once, and added up.

A collector may append, rotate or delete meanwhile.  A line that is no window is skipped and counted by reason, a file
that cannot be read is named; neither ends the reading.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Optional

from recost_collector.books import Books, Timeline
from recost_collector.local_files import Opened, open_project, projects
from recost_collector.reading import read_all, stretches
from recost_collector.tally import Tally, Wanted
from recost_collector.window_line import Reason


class History:
    """What the windows of a directory add up to. Empty until ``read``, the only one that changes it."""

    def __init__(self, wanted: Wanted) -> None:
        self.known_projects: list[str] = []
        """All that have a file, asked for or not."""
        self.projects: list[str] = []
        """Those of which a window counted."""
        self.skipped: Counter[tuple[str, Reason]] = Counter()
        """Lines, by file and reason."""
        self.unread: dict[str, str] = {}
        """Why, by file."""
        self._tally = Tally(wanted)

    @property
    def since(self) -> Optional[datetime]:
        return self._tally.wanted.since

    @property
    def windows(self) -> int:
        """Those that counted."""
        return self._tally.windows

    @property
    def first(self) -> Optional[datetime]:
        """Start of the first window that counted."""
        return self._tally.first

    @property
    def last(self) -> Optional[datetime]:
        """End of the last one."""
        return self._tally.last

    @property
    def newest(self) -> Optional[datetime]:
        """Start of the newest window, whether it counted or is too old."""
        return self._tally.newest

    @property
    def timeline(self) -> Timeline:
        """Empty where it is not wanted."""
        sums = self._tally.sums
        return sums if isinstance(sums, Timeline) else Timeline(with_views=False)

    def books(self) -> Books:
        """Made from the timeline where there is one."""
        sums = self._tally.sums
        return sums.total() if isinstance(sums, Timeline) else sums

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
                self._read_file(opened.path, opened.file.fileno())
        if self.windows > before:
            self.projects.append(project)

    def _read_file(self, path: str, fd: int) -> None:
        try:
            for part in read_all(stretches(fd), self._tally.wanted):
                self._tally.merge(part)
                self.skipped.update({(path, reason): lines for reason, lines in part.skipped.items()})
                if part.trouble:
                    self.unread[path] = part.trouble
        except OSError as exc:
            self.unread[path] = exc.strerror or str(exc)
