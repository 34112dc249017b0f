"""A frame of ``top``, drawn with rich."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, Optional

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from recost_collector.figures import ago, count, latency, money, percent, plural, printable
from recost_collector.live import Row, Watched
from recost_collector.status import RingStatus
from recost_collector.status_text import headline
from recost_collector.table import GAP, Column, cut, fit
from recost_collector.top_look import Look, rings

COLUMNS = {
    "endpoint": ("PROVIDER", "ENDPOINT"),
    "model": ("PROVIDER", "MODEL"),
    "provider": ("PROVIDER",),
    "tag": ("TAG",),
}
_FIGURES = [
    Column("CALLS/S", spare_rank=2),
    Column("ERR %", spare_rank=1),
    Column("P50", spare_rank=6),
    Column("P95", spare_rank=3),
    Column("COST/S", spare_rank=4),
    Column("CALLS"),
    Column("ERRORS", spare_rank=5),
    Column("COST"),
]
_NOW = 5
"""Of ``_FIGURES``, those of the last minute."""
_WORKERS = [
    Column("WORKER"),
    Column("CALLS/S", spare_rank=3),
    Column("RECORDED", spare_rank=1),
    Column("BACKLOG", spare_rank=4),
    Column("DROPPED", spare_rank=2),
    Column("PROJECT", is_text=True),
]
_NARROW = 70
"""With less than this, names of two parts share a column."""
_HOUR = 3600
_CHROME = 5
"""Lines of a table that are no rows: its titles, rules and the total."""
_LEAST_ROWS = 3


class _Row(NamedTuple):
    cells: list[str]
    style: str


def frame(seen: Look, by: Optional[str], height: int, width: int) -> RenderableType:
    """``height`` in lines; 0: as many as it takes."""
    parts: list[RenderableType] = [_verdict(seen), _summary(seen)]
    watched = seen.watched
    shown = _views(watched, by) if watched is not None else []
    workers = rings(seen.status)
    room = _room(height - 4, [*(len(rows) for _, rows in shown), len(workers)])
    if watched is not None:
        for (view, rows), most in zip(shown, room):
            parts += [Text(), _table(watched, view, rows, most, width)]
    if workers:
        parts += [Text(), _workers(workers, seen.rates, room[-1], width)]
    return Group(*parts)


def _verdict(seen: Look) -> Text:
    mends = [f"to do: {trouble.mend}" for trouble in seen.status.troubles[:1] if trouble.mend]
    problems = [*([seen.trouble] if seen.trouble else []), *mends, *seen.status.problems[1:]]
    is_well = not seen.status.exit_code and not seen.trouble
    text = Text(printable(headline(seen.status)), style="bold green" if is_well else "bold red")
    for problem in problems[:3]:
        text.append(f"\n  {printable(problem)}", style="yellow")
    return text


def _summary(seen: Look) -> Text:
    watched = seen.watched
    workers = plural(len(rings(seen.status)), "worker")
    if watched is None:
        rate = sum(seen.rates.values())
        why = "Nobody collects now; the first call of a worker starts a collector." if not seen.status.leading else ""
        return Text(f"{workers}, {_rate(rate)} calls/s recorded. {why}".rstrip())
    total, span = watched.total, watched.span_s
    now = f"{workers}   now: {_rate(_per_s(total.recent_calls, span))} calls/s, "
    now += f"{money(round(_per_s(total.recent_cost, span) * _HOUR))} an hour"
    since = ago(time.time_ns() // 1_000_000 - watched.since_ms)
    return Text(f"{now}   in {since}: {plural(total.calls, 'call')}, {money(total.cost)}")


def _views(watched: Watched, by: Optional[str]) -> list[tuple[str, list[Row]]]:
    wanted = [by] if by is not None else ["endpoint", "model", "tag"]
    found = [(view, watched.views.get(view, [])) for view in wanted]
    return [(view, rows) for view, rows in found if rows or view in {by, "endpoint"}]


def _room(height: int, wanted: Sequence[int]) -> list[int]:
    """How many rows each table gets: all it wants, or its part of what there is."""
    room = height - _CHROME * len(wanted)
    if height <= 0 or sum(wanted) <= room:
        return list(wanted)
    given = [0] * len(wanted)
    for at in sorted(range(len(wanted)), key=lambda at: wanted[at]):
        waiting = sum(1 for other in range(len(wanted)) if not given[other])
        given[at] = max(_LEAST_ROWS, min(wanted[at], room // waiting))
        room -= given[at]
    return given


def _table(watched: Watched, view: str, rows: Sequence[Row], most: int, width: int) -> Table:
    names = [Column(name, is_text=True) for name in COLUMNS[view]]
    total = "TOTAL" if view in {"endpoint", "provider"} else "all calls"
    named = [(list(row.names), row) for row in rows[:most]]
    named.append(([total, *[""] * (len(names) - 1)], watched.total))
    if width < _NARROW:
        names = [Column(COLUMNS[view][-1], is_text=True)]
        named = [([" ".join(texts).strip()], row) for texts, row in named]
    found = [_Row([*map(printable, texts), *_cells(row, watched.span_s)], _style(row)) for texts, row in named]
    return _drawn([*names, *_FIGURES], found[:-1], len(rows) - most, width, found[-1])


def _drawn(columns: list[Column], rows: Sequence[_Row], more: int, width: int, total: Optional[_Row] = None) -> Table:
    """The columns that there is room for. ``more``: rows for which there is none."""
    blanks = [""] * (len(columns) - 1)
    rest = [_Row([f"and {more:,} more", *blanks], "dim")] if more > 0 else []
    foot = [total._replace(style="bold")] if total is not None else []
    kept, widths = fit(columns, [row.cells for row in (*rows, *rest, *foot)], width)
    table = Table(box=None, padding=0, header_style="bold")  # the gaps are columns: rich before 14 counts padding wrong
    for at, wide in zip(kept, widths):
        column = columns[at]
        if table.columns:
            table.add_column(width=len(GAP))
        justify: JustifyMethod = "left" if column.is_text else "right"
        style = "dim" if column in _FIGURES[_NOW:] else ""
        table.add_column(column.title, justify=justify, no_wrap=True, style=style, width=wide)
    for row in (*rows, *rest, *foot):
        cells = [Text(cut(row.cells[at], wide)) for at, wide in zip(kept, widths)]
        table.add_row(*[part for cell in cells for part in (GAP, cell)][1:], style=row.style)
    return table


def _cells(row: Row, span_s: float) -> list[str]:
    quiet = not row.recent_calls
    return [
        _rate(_per_s(row.recent_calls, span_s)),
        "-" if quiet else percent(row.recent_errors, row.recent_calls),
        "-" if quiet else latency(row.p50_ms),
        "-" if quiet else latency(row.p95_ms),
        money(max(0, round(_per_s(row.recent_cost, span_s)))),
        count(row.calls),
        count(row.errors),
        money(max(0, row.cost)),
    ]


def _style(row: Row) -> str:
    if row.recent_errors * 20 >= max(1, row.recent_calls):  # 5 %
        return "red"
    return "" if row.recent_calls else "dim"


def _workers(workers: Sequence[RingStatus], rates: dict[str, float], most: int, width: int) -> Table:
    busiest = sorted(workers, key=lambda ring: (-rates.get(ring.name, 0.0), ring.pid))
    return _drawn(_WORKERS, [_worker(ring, rates) for ring in busiest[:most]], len(workers) - most, width)


def _worker(ring: RingStatus, rates: dict[str, float]) -> _Row:
    gone = " (gone)" if ring.alive is False else ""
    cells = [
        f"{ring.pid}{gone}",
        _rate(rates[ring.name]) if ring.name in rates else "-",
        count(ring.recorded),
        percent(ring.backlog_bytes, ring.capacity_bytes),
        count(ring.dropped),
        printable(f"{ring.project or 'default'} / {ring.environment}"),
    ]
    return _Row(cells, "red" if ring.dropped or gone else "")


def _per_s(number: int, span_s: float) -> float:
    return number / span_s if span_s > 0 else 0.0


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"
