"""The page as a whole: the total, what is behind it over time, and a section for each way to group it."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

from recost import __version__
from recost_collector import figures
from recost_collector.books import GROUPINGS, Books, ranking
from recost_collector.history import History
from recost_collector.page import charts, series, tables
from recost_collector.page.charts import Chart, Layer
from recost_collector.sums import Sums
from recost_collector.views import NO_MODEL, UNTAGGED
from recost_collector.window_line import REASONS

_SECTIONS = {
    "provider": "By provider",
    "endpoint": "By endpoint",
    "model": "By model",
    "tag": "By tag",
    "environment": "By environment",
}
_NOTES = {
    "model": "Calls of patched LLM SDKs and of recost.track(); (no model) is what is left of all calls without these."
    " Its latencies are of all captured requests, those within LLM calls, too.",
    "tag": "Of recost.feature_tag() and of routes; (untagged) is what is left of all calls without these.",
}
_MEANING = (
    "P50 max and p95 max: the highest of the windows' p50 and p95, in a total the highest of the rows."
    " Costs of calls without LLM usage are estimates."
)
_EMPTY = {UNTAGGED, NO_MODEL}
_PICO_PER_USD = figures.PICO_PER_USD


def to_html(history: History, directory: str, now: datetime) -> str:
    """Everything that ``history`` knows; it was read with views and over time."""
    script, style = _asset("page.js"), _asset("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    body = "".join(_body(history, directory, now))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>What API calls cost</title><style>{style}</style></head>\n"
        f"<body>{body}<script>{script}</script></body></html>\n"
    )


def _body(history: History, directory: str, now: datetime) -> Iterator[str]:
    books = history.books()
    total = books.total()
    yield _head(history, total, directory)
    if history.windows:
        timeline = history.timeline
        axis = series.axis_of(timeline)
        slots = series.totals(timeline, axis)
        first, *others = _SECTIONS
        yield _section(history, books, axis, first)
        yield _over_time(axis, slots, total)
        for by in others:
            yield _section(history, books, axis, by)
    yield f"<footer>{_footer(history, now)}</footer>"


def _head(history: History, total: Sums, directory: str) -> str:
    facts = [
        ("calls", figures.count(total.calls)),
        ("errors", f"{figures.count(total.errors)} ({figures.percent(total.errors, total.calls)})"),
        ("mean latency", figures.latency(total.mean_ms)),
        ("highest p95 of a window", figures.latency(total.max_p95_ms)),
        ("windows", figures.count(history.windows)),
    ]
    shown = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    first, last = (figures.utc_seconds(moment) if moment else "?" for moment in (history.first, history.last))
    span = f"{first} to {last} UTC" if history.windows else "No window was found."
    projects = figures.listing(history.projects) or "none"
    return (
        f"<header><p>What API calls cost</p><h1>{figures.money(total.cost_pico_usd)}</h1>"
        f"<p>{escape(span)}, {escape(projects)}<br><small>{escape(figures.printable(directory))}</small></p>"
        f"<dl>{shown}</dl></header>"
    )


def _over_time(axis: series.Axis, slots: Sequence[Sums], total: Sums) -> str:
    fine = [sums.calls - min(sums.errors, sums.calls) for sums in slots]
    calls = [Layer("well", "c1", fine), Layer("errors", "bad", [min(sums.errors, sums.calls) for sums in slots])]
    latency = [
        Layer("mean", "c1", [sums.mean_ms if sums.calls else math.nan for sums in slots]),
        Layer("highest p95 of a window", "c2", [sums.max_p95_ms if sums.calls else math.nan for sums in slots]),
    ]
    drawn = (
        (
            "Calls and errors",
            calls,
            tables.CALLS,
            charts.bars(Chart("calls and errors over time", axis, calls, _count)),
        ),
        (
            "Latency",
            latency,
            tables.LATENCIES,
            charts.lines(Chart("latency over time", axis, latency, figures.latency)),
        ),
    )
    note = f'<p class="note">per {series.slot_length(axis.slot_s)}</p>'
    return "".join(
        f"<section><h2>{heading}</h2>{note}{_legend(layers)}{chart}"
        f"{_behind(tables.slot_table(axis, slots, total, which))}</section>"
        for heading, layers, which, chart in drawn
    )


def _section(history: History, books: Books, axis: series.Axis, by: str) -> str:
    """Empty where there is nothing to tell apart."""
    heading = _SECTIONS[by]
    found, (columns, _, has_sizes) = books.groups(by), GROUPINGS[by]
    if {key[-1] for key in found} <= _EMPTY or (by == "environment" and len(found) < 2):
        return ""
    groups, total = ranking(found), books.total_below(found)
    stacked = series.stack(history.timeline, axis, by, [key for key, _ in groups])
    layers = [
        Layer(figures.printable(each.name), f"c{at + 1}", [sums.cost_pico_usd / _PICO_PER_USD for sums in each.slots])
        for at, each in enumerate(stacked)
    ]
    rows = [(key, tables.figure_cells(sums, total, has_sizes=has_sizes)) for key, sums in groups]
    note = f"Spend per {series.slot_length(axis.slot_s)}. {_NOTES.get(by, '')}"
    drawn = ""
    if total.cost_pico_usd:
        chart = charts.bars(Chart(f"spend over time {heading.lower()}", axis, layers, _usd))
        drawn = _legend(layers) + chart + _behind(tables.spend_table(axis, stacked))
    table = tables.table(columns, tables.FIGURES, rows, tables.figure_cells(total, total))
    return f'<section><h2>{heading}</h2><p class="note">{escape(note)}</p>{drawn}{table}</section>'


def _legend(layers: Sequence[Layer]) -> str:
    items = "".join(f'<li><i class="{layer.style}"></i>{escape(layer.name)}</li>' for layer in layers)
    return f'<ul class="legend">{items}</ul>'


def _behind(table: str) -> str:
    return f"<details><summary>The chart as a table</summary>{table}</details>"


def _footer(history: History, now: datetime) -> str:
    made = f"Made by recost {__version__} on {figures.utc_seconds(now)} UTC. {_MEANING}"
    told = [made]
    told += [
        f"{figures.printable(path)}: skipped {figures.plural(lines, 'line')}: {REASONS[reason]}."
        for (path, reason), lines in history.skipped.items()
    ]
    told += [f"Cannot read {figures.printable(path)}: {why}." for path, why in history.unread.items()]
    return "<br>".join(map(escape, told))


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def _usd(value: float) -> str:
    return figures.money(round(value * _PICO_PER_USD)) if value < 1 else f"${value:,.2f}"


def _asset(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()
