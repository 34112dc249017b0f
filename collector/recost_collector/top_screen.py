"""A frame of ``top``, drawn with rich."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Optional

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recost_collector.figures import ago, count, latency, money, percent, plural, printable
from recost_collector.live import Row, Watched
from recost_collector.status import RingStatus
from recost_collector.status_text import headline
from recost_collector.top_look import Look, rings

COLUMNS = {
    "endpoint": ("PROVIDER", "ENDPOINT"),
    "model": ("PROVIDER", "MODEL"),
    "provider": ("PROVIDER",),
    "tag": ("TAG",),
}
_FIGURES = ("CALLS/S", "ERR %", "P50", "P95", "COST/S", "CALLS", "ERRORS", "COST")
_NOW = 5
"""Of ``_FIGURES``, those of the last minute."""
_HOUR = 3600
_CHROME = 5
"""Lines of a table that are no rows: its titles, rules and the total."""
_LEAST_ROWS = 3


def frame(seen: Look, by: Optional[str], height: int) -> RenderableType:
    """``height`` in lines; 0: as many as it takes."""
    parts: list[RenderableType] = [_verdict(seen), _summary(seen), Text()]
    watched = seen.watched
    shown = _views(watched, by) if watched is not None else []
    workers = rings(seen.status)
    room = _room(height - 4, [*(len(rows) for _, rows in shown), len(workers)])
    if watched is not None:
        for (view, rows), most in zip(shown, room):
            parts.append(_table(watched, view, rows, most))
    if workers:
        parts.append(_workers(workers, seen.rates, room[-1]))
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


def _table(watched: Watched, view: str, rows: Sequence[Row], most: int) -> Table:
    names = COLUMNS[view]
    table = Table(box=None, pad_edge=False, show_footer=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="ellipsis", no_wrap=True, min_width=8)
    for at, title in enumerate(_FIGURES):
        table.add_column(title, justify="right", no_wrap=True, style="" if at < _NOW else "dim")
    for row in rows[:most]:
        table.add_row(*map(printable, row.names), *_cells(row, watched.span_s), style=_style(row))
    if len(rows) > most:
        table.add_row(f"and {len(rows) - most:,} more", style="dim")
    table.add_section()
    blanks = [""] * (len(names) - 1)
    table.add_row(
        "TOTAL" if view in {"endpoint", "provider"} else "all calls",
        *blanks,
        *_cells(watched.total, watched.span_s),
        style="bold",
    )
    table.add_row()
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


def _workers(workers: Sequence[RingStatus], rates: dict[str, float], most: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("WORKER", "CALLS/S", "RECORDED", "BACKLOG", "DROPPED"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("PROJECT", overflow="ellipsis", no_wrap=True)
    busiest = sorted(workers, key=lambda ring: (-rates.get(ring.name, 0.0), ring.pid))
    for ring in busiest[:most]:
        gone = " (gone)" if ring.alive is False else ""
        table.add_row(
            f"{ring.pid}{gone}",
            _rate(rates[ring.name]) if ring.name in rates else "-",
            count(ring.recorded),
            percent(ring.backlog_bytes, ring.capacity_bytes),
            count(ring.dropped),
            printable(f"{ring.project or 'default'} / {ring.environment}"),
            style="red" if ring.dropped or gone else "",
        )
    if len(workers) > most:
        table.add_row(f"and {len(workers) - most:,} more", style="dim")
    return table


def _per_s(number: int, span_s: float) -> float:
    return number / span_s if span_s > 0 else 0.0


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"
