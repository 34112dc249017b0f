"""A stretch of a file as blocks of whole lines.

A line belongs to the stretch in which it begins, so that stretches next to each other can be read by different
processes: each line is read by one of them.  A line beyond ``MAX_LINE_BYTES`` comes in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator

from recost.system import read_at

BLOCK_BYTES = 256 << 10
MAX_LINE_BYTES = 16 << 20
"""A frame has 1 MB at most. A longer line is nobody's window: each of its pieces counts as unreadable."""


def blocks(fd: int, start: int, end: int) -> Iterator[bytes]:
    """The lines of ``fd`` that begin in ``[start, end)``, some hundreds at a time. Raises ``OSError``."""
    at = start if start == 0 else _next_line(fd, start - 1)
    size = BLOCK_BYTES
    while at < end:
        block = read_at(fd, size, at)
        is_last = at + len(block) >= end
        cut = (is_last and block.find(b"\n", end - 1 - at) + 1) or block.rfind(b"\n") + 1
        if cut == 0 and len(block) == size and size < MAX_LINE_BYTES:
            size = min(MAX_LINE_BYTES, 4 * size)  # no end of a line so far
            continue
        if not block:  # cut off meanwhile
            return
        block = block[:cut] if cut else block
        yield block
        at += len(block)
        size = BLOCK_BYTES


def _next_line(fd: int, at: int) -> int:
    """Where the line begins that is behind the first newline from ``at`` on; the end of the file if there is none."""
    while True:
        block = read_at(fd, BLOCK_BYTES, at)
        found = block.find(b"\n")
        if found >= 0:
            return at + found + 1
        if not block:
            return at
        at += len(block)
