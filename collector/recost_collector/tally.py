"""What one stretch of a local file adds up to.

The usual line costs nothing of its own: a block of lines is decoded at once.  Only where one of them is no window are
they looked at one by one, to say which it was and why.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timezone
from typing import NamedTuple, Optional, Union

from recost.event import UNDECODABLE
from recost_collector import line_blocks
from recost_collector.books import Books, Timeline
from recost_collector.figures import utc
from recost_collector.window_line import Decoder, Reason, Window, why_undecodable

_START = b'"windowStart":"'
_START_BYTES = len("2026-11-21T10:00:00.000Z")
_STARTS = re.compile(rb"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)+")
_Decoders = {with_views: Decoder(with_views=with_views) for with_views in (False, True)}


class Stretch(NamedTuple):
    """The lines that begin in a part of an open file."""

    fd: int
    start: int
    end: int


class Wanted(NamedTuple):
    """What is asked of the lines."""

    since: Optional[datetime] = None
    with_views: bool = False
    over_time: bool = False


class Tally:
    """Of the windows that count: those that are not too old. ``merge`` in any order."""

    def __init__(self, wanted: Wanted) -> None:
        kind: type[Union[Books, Timeline]] = Timeline if wanted.over_time else Books
        self.wanted = wanted
        self.sums = kind(with_views=wanted.with_views)
        self.windows = 0
        self.first: Optional[datetime] = None
        """Start of the first window that counted."""
        self.last: Optional[datetime] = None
        """End of the last one."""
        self.newest: Optional[datetime] = None
        """Start of the newest window, whether it counted or is too old."""
        self.skipped: Counter[Reason] = Counter()
        self.trouble = ""
        """Why not all could be read."""

    def add_lines(self, lines: bytes) -> None:
        newest = self._newest_of_old(lines)
        if newest is not None:
            self.newest = _later(self.newest, newest)
            return
        decoder = _Decoders[self.wanted.with_views]
        windows = decoder.many(lines)
        if windows is None:
            windows = self._one_by_one(decoder, lines)
        for window in windows:
            self._add(window)

    def merge(self, other: Tally) -> None:
        self.sums.merge(other.sums)  # type: ignore[arg-type]  # both are of the kind that is wanted
        self.windows += other.windows
        self.first = _earlier(self.first, other.first)
        self.last = _later(self.last, other.last)
        self.newest = _later(self.newest, other.newest)

    def _add(self, window: Window) -> None:
        start = window.window_start
        if self.newest is None or start > self.newest:
            self.newest = start
        if self.wanted.since is not None and start < self.wanted.since:
            return
        self.windows += 1
        if self.first is None or start < self.first:
            self.first = start
        if self.last is None or window.window_end > self.last:
            self.last = window.window_end
        self.sums.add(window)

    def _newest_of_old(self, lines: bytes) -> Optional[datetime]:
        """The newest start where every line's is written as recost does, and is too old: then no more is read of them.

        None: that is not so.
        """
        if self.wanted.since is None:
            return None
        starts = [text[:_START_BYTES] for text in lines.split(_START)[1:]]
        newest = max(starts, default=b"9")
        if newest >= utc(self.wanted.since).encode() or len(starts) != lines.count(b"\n"):
            return None
        if not _STARTS.fullmatch(b"".join(starts)):
            return None
        try:
            return datetime.strptime(newest.decode(), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        except ValueError:
            return None

    def _one_by_one(self, decoder: Decoder, lines: bytes) -> list[Window]:
        windows = []
        for line in lines.splitlines(keepends=True):
            try:
                windows.append(decoder.one(line))
            except UNDECODABLE:
                if line.strip():
                    self.skipped[why_undecodable(line)] += 1
        return windows


def read(stretch: Stretch, wanted: Wanted) -> Tally:
    tally = Tally(wanted)
    try:
        for block in line_blocks.blocks(*stretch):
            tally.add_lines(block)
    except OSError as exc:
        tally.trouble = exc.strerror or str(exc)
    return tally


def _earlier(one: Optional[datetime], other: Optional[datetime]) -> Optional[datetime]:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _later(one: Optional[datetime], other: Optional[datetime]) -> Optional[datetime]:
    return max((moment for moment in (one, other) if moment is not None), default=None)
