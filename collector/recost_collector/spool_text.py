"""What is in spools as a person reads it: the sum first, then each destination and its windows."""

from __future__ import annotations

import time

from recost_collector.changes import with_status
from recost_collector.figures import ago, as_json, plural, printable, size
from recost_collector.spool_look import KeptSpool, KeptWindow

_HEAD = ("id", "state", "age", "size", "entries", "refused", "reason")
_RIGHT = frozenset({"id", "age", "size", "entries", "refused"})


def to_json(spools: list[KeptSpool]) -> str:
    return as_json(spools)


def to_text(spools: list[KeptSpool], most: int) -> str:
    """At most so many windows of each destination; 0: all."""
    now_ms = time.time_ns() // 1_000_000
    lines = [_headline(spools)]
    for spool in spools:
        if not spool.is_empty:
            lines += ["", *_spool_lines(spool, most, now_ms)]
    return "\n".join(map(printable, lines)) + "\n"


def _headline(spools: list[KeptSpool]) -> str:
    windows = [window for spool in spools for window in spool.windows]
    parked = sum(window.state == "parked" for window in windows)
    is_open = sum(spool.open_windows for spool in spools)
    counts = [
        f"{number:,} {word}" for number, word in ((len(windows) - parked, "waiting"), (parked, "parked")) if number
    ]
    if is_open:
        counts.append(f"{is_open:,} not closed yet")
    return f"windows: {', '.join(counts)}" if counts else "no windows wait"


def _spool_lines(spool: KeptSpool, most: int, now_ms: int) -> list[str]:
    whose = spool.runtime_dir or "of no runtime directory here: if it is nobody's, the next collector takes it over"
    lines = [f"spool {spool.directory} ({whose})"]
    if spool.trouble:
        lines.append(f"  {spool.trouble}")
    for destination in dict.fromkeys(window.destination for window in spool.windows):
        of_it = [window for window in spool.windows if window.destination == destination]
        total = sum(window.bytes for window in of_it)
        lines += ["", f"{destination}: {plural(len(of_it), 'window')}, {size(total)}"]
        lines += _table(of_it[:most] if most else of_it, now_ms)
        if most and len(of_it) > most:
            lines.append(f"  and {len(of_it) - most:,} more; --all shows them")
    return lines


def _table(windows: list[KeptWindow], now_ms: int) -> list[str]:
    rows = [_HEAD, *(_row(window, now_ms) for window in windows)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    return [_line(row, widths) for row in rows]


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        cell.rjust(width) if name in _RIGHT else cell.ljust(width) for name, cell, width in zip(_HEAD, row, widths)
    ]
    return f"  {'  '.join(cells)}".rstrip()


def _row(window: KeptWindow, now_ms: int) -> tuple[str, ...]:
    age = ago(now_ms - window.closed_at_ms)
    counts = (f"{window.entries:,}", f"{window.tries:,}")
    return (str(window.id), window.state, age, size(window.bytes), *counts, with_status(window.reason, window.status))
