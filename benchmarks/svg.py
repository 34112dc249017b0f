"""Small pictures of figures, as SVG by hand: readable on a light and on a dark page, without a font of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 760, 190, 24
ROW, TOP, BOTTOM = 30, 44, 40
STYLE = """\
text { font: 13px -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.small { font-size: 11px; fill: #656d76 }
.grid { stroke: #8c959f; stroke-opacity: .35 }
.ours { fill: #0969da; stroke: #0969da }
.others { fill: #8c959f; stroke: #8c959f }
.band { fill: #8c959f; fill-opacity: .15 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #9198a1 }
  .ours { fill: #58a6ff; stroke: #58a6ff }
}"""


class Strip(NamedTuple):
    """A row of dots."""

    label: str
    values: Sequence[float]
    is_ours: bool


class Bar(NamedTuple):
    label: str
    value: float
    note: str
    is_ours: bool = True


def strips(title: str, unit: str, rows: Sequence[Strip], band: float) -> str:
    """Dots on a logarithmic axis; ``band``: below it lies what cannot be told from nothing."""
    values = [value for row in rows for value in row.values]
    low, high = 1.0, max([10.0, *values])
    right = high * 1.15

    def x(value: float) -> float:
        share = math.log(max(value, low) / low) / math.log(right / low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    height = TOP + ROW * len(rows) + BOTTOM
    parts = [_text(16, 22, title, "title")]
    parts.append(
        f'<rect class="band" x="{LEFT}" y="{TOP - 8}" width="{x(band) - LEFT:.1f}" height="{ROW * len(rows)}"/>'
    )
    for tick in _ticks(low, right):
        parts.append(_line(x(tick), TOP - 8, x(tick), height - BOTTOM - 8))
        parts.append(_text(x(tick), height - BOTTOM + 8, f"{tick:g}", "small", "middle"))
    parts.append(_text(WIDTH - RIGHT, height - 8, unit, "small", "end"))
    for at, row in enumerate(rows):
        y, kind = TOP + ROW * at + 7, "ours" if row.is_ours else "others"
        parts.append(_text(LEFT - 12, y + 4, row.label, anchor="end"))
        if row.values:
            parts.append(_line(x(min(row.values)), y, x(max(row.values)), y, kind))
        parts.extend(f'<circle class="{kind}" cx="{x(value):.1f}" cy="{y}" r="5"/>' for value in row.values)
    return _picture(height, parts)


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Horizontal bars from 0, each with its note behind it."""
    room = 190
    longest = max([1.0, *(row.value for row in rows)])
    parts = [_text(16, 22, title, "title")]
    for at, row in enumerate(rows):
        y, wide = TOP + ROW * at, row.value / longest * (WIDTH - LEFT - RIGHT - room)
        parts.append(_text(LEFT - 12, y + 11, row.label, anchor="end"))
        kind = "ours" if row.is_ours else "others"
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y - 4}" width="{wide:.1f}" height="20"/>')
        parts.append(_text(LEFT + wide + 8, y + 11, row.note, "small"))
    return _picture(TOP + ROW * len(rows) + 8, parts)


def _ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10**decade for decade in decades for step in (1, 2, 5) if low <= step * 10**decade <= high]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, kind: str = "grid") -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"/>'


def _picture(height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"
