"""Charts as SVG: bars that are stacked, and lines, over time.

Each slot of time is a group with a title that names all its figures, which a browser shows without any script.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

from recost_collector.page.series import Axis

WIDTH, HEIGHT = 960, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 12, 26
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
_TICKS = 4
_LABELS = 7
_HALF_LABEL = 40
_GAP = 0.12
"""Between two bars, as a share of a slot."""


class Layer(NamedTuple):
    """One colour of a chart: a value for each slot, and how it is called."""

    name: str
    style: str
    values: Sequence[float]


class Chart(NamedTuple):
    """What a chart shows; ``about`` is for who cannot see it, ``form`` how its values are written."""

    about: str
    axis: Axis
    layers: Sequence[Layer]
    form: Callable[[float], str]

    @property
    def step(self) -> float:
        """The width of a slot."""
        return _PLOT_WIDTH / len(self.axis.numbers)


def bars(chart: Chart) -> str:
    """The layers on top of each other, the first at the bottom."""
    sums = [sum(values) for values in zip(*(layer.values for layer in chart.layers))]
    top, ticks = _scale(max(sums, default=0.0))
    marks = [_stack(chart, at, top) for at in range(len(chart.axis.numbers))]
    return _draw(chart, top, ticks, marks)


def lines(chart: Chart) -> str:
    """A line for each layer, with gaps where a value is nan."""
    known = [value for layer in chart.layers for value in layer.values if not math.isnan(value)]
    top, ticks = _scale(max(known, default=0.0))
    drawn = "".join(_line(chart, layer, top) for layer in chart.layers)
    return _draw(chart, top, ticks, [""] * len(chart.axis.numbers), drawn)


def _draw(chart: Chart, top: float, ticks: list[float], marks: Sequence[str], drawn: str = "") -> str:
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.about)}">']
    parts += [_tick(tick, top, chart.form) for tick in ticks]
    parts += _time_labels(chart)
    parts.append(drawn)
    for at, mark in enumerate(marks):
        place = f'x="{LEFT + at * chart.step:.2f}" y="{TOP}" width="{chart.step:.2f}" height="{_PLOT_HEIGHT}"'
        parts.append(f'<g class="slot"><title>{_title(chart, at)}</title><rect class="hit" {place}/>{mark}</g>')
    parts.append("</svg>")
    return "".join(parts)


def _title(chart: Chart, at: int) -> str:
    rows = [(layer.name, layer.values[at]) for layer in chart.layers]
    told = [f"{name}: {chart.form(value)}" for name, value in rows if value and not math.isnan(value)]
    return escape("\n".join([f"{chart.axis.full_label(at)} UTC", *(told or ["nothing"])]))


def _stack(chart: Chart, at: int, top: float) -> str:
    left, width, floor = LEFT + (at + _GAP / 2) * chart.step, chart.step * (1 - _GAP), float(TOP + _PLOT_HEIGHT)
    parts = []
    for layer in chart.layers:
        height = layer.values[at] / top * _PLOT_HEIGHT
        if height > 0:
            floor -= height
            size = f'x="{left:.2f}" y="{floor:.2f}" width="{width:.2f}" height="{height:.2f}"'
            parts.append(f'<rect class="{layer.style}" {size}/>')
    return "".join(parts)


def _line(chart: Chart, layer: Layer, top: float) -> str:
    path, dots, is_down = [], [], False
    for at, value in enumerate(layer.values):
        if math.isnan(value):
            is_down = False
            continue
        x, y = LEFT + (at + 0.5) * chart.step, TOP + _PLOT_HEIGHT * (1 - value / top)
        path.append(f"{'L' if is_down else 'M'}{x:.2f} {y:.2f}")
        dots.append(f'<circle class="{layer.style}" cx="{x:.2f}" cy="{y:.2f}" r="2"/>')
        is_down = True
    return f'<path class="line {layer.style}" d="{"".join(path)}"/>{"".join(dots)}'


def _scale(most: float) -> tuple[float, list[float]]:
    """The top of the scale and its ticks, at round numbers."""
    if not 0 < most < math.inf:
        return 1.0, [0.0]
    raw = most / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999999)
    count = max(1, math.ceil(most / step - 1e-9))
    return count * step, [step * number for number in range(count + 1)]


def _tick(tick: float, top: float, form: Callable[[float], str]) -> str:
    y = TOP + _PLOT_HEIGHT * (1 - tick / top)
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text class="y" x="{LEFT - 6}" y="{y + 4:.1f}">{escape(form(tick))}</text>'


def _time_labels(chart: Chart) -> list[str]:
    slots = len(chart.axis.numbers)
    every = math.ceil(slots / _LABELS)
    places = [(at, LEFT + (at + 0.5) * chart.step) for at in range(every // 2, slots, every)]
    return [
        f'<text class="x" x="{x:.1f}" y="{HEIGHT - 8}">{escape(chart.axis.label(at))}</text>'
        for at, x in places
        if x <= WIDTH - _HALF_LABEL or slots == 1
    ]
