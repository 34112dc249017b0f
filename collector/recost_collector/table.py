"""A table for a terminal: aligned, and no wider than there is room, as far as that can be had."""

from __future__ import annotations

from typing import NamedTuple

GAP = "  "
LEAST_TEXT = 16
"""Characters that a text keeps before columns are left out."""


class Column(NamedTuple):
    title: str
    is_text: bool = False
    """Aligned left and shortened for want of room; a figure is aligned right and always whole."""
    spare_rank: int = 0
    """0: never left out. Of the others the one with the highest rank goes first."""


class Fit(NamedTuple):
    """Which columns there is room for, by number, and how wide they are."""

    kept: list[int]
    widths: list[int]


class Table(NamedTuple):
    lines: list[str]
    left_out: list[str]
    """Titles of the columns for which there was no room."""


def draw(columns: list[Column], rows: list[list[str]], width: int) -> Table:
    """Title, rows, a rule, and the last row, which is the total. ``width`` 0: as wide as it gets."""
    cells = [[column.title for column in columns], *rows]
    kept, widths = fit(columns, rows, width)
    chosen = [columns[at] for at in kept]
    lines = [_line(chosen, [row[at] for at in kept], widths) for row in cells]
    lines.insert(-1, "-" * _line_width(widths))
    return Table(lines, [column.title for column in columns if column not in chosen])


def fit(columns: list[Column], rows: list[list[str]], width: int) -> Fit:
    """``width`` 0: as wide as it gets."""
    widths = [
        max(len(text) for text in (column.title, *(row[at] for row in rows))) for at, column in enumerate(columns)
    ]
    kept = _choose(columns, widths, width)
    return Fit(kept, _shrink([columns[at] for at in kept], [widths[at] for at in kept], width))


def cut(text: str, width: int) -> str:
    """Both ends stay: paths differ at either."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def _choose(columns: list[Column], widths: list[int], width: int) -> list[int]:
    kept = list(range(len(columns)))
    least = [min(wide, LEAST_TEXT) if column.is_text else wide for column, wide in zip(columns, widths)]
    spare = sorted((at for at in kept if columns[at].spare_rank), key=lambda at: columns[at].spare_rank)
    while spare and 0 < width < _line_width([least[at] for at in kept]):
        kept.remove(spare.pop())
    return kept


def _shrink(columns: list[Column], widths: list[int], width: int) -> list[int]:
    """Take from the widest text, a character at a time."""
    widths = list(widths)
    texts = [at for at, column in enumerate(columns) if column.is_text]
    while 0 < width < _line_width(widths):
        widest = max(texts, key=lambda at: widths[at])
        if widths[widest] <= LEAST_TEXT:
            break
        widths[widest] -= 1
    return widths


def _line_width(widths: list[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _line(columns: list[Column], cells: list[str], widths: list[int]) -> str:
    parts = [
        cut(cell, wide).ljust(wide) if column.is_text else cell.rjust(wide)
        for column, cell, wide in zip(columns, cells, widths)
    ]
    return GAP.join(parts).rstrip()
