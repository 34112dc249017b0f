"""A history as people and as programs read it. The names in the JSON are a contract; ``report --help`` lists them."""

from __future__ import annotations

import csv
import io
import os
from typing import Any, Optional

from recost.bucket import PICO_USD_PER_CENT, to_int64
from recost_collector import figures
from recost_collector.books import GROUPINGS, ranking
from recost_collector.history import History
from recost_collector.sums import Sums
from recost_collector.table import Column, draw
from recost_collector.views import NO_MODEL, UNTAGGED
from recost_collector.window_line import REASONS

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_FIGURES = [
    Column("CALLS"),
    Column("ERRORS", spare_rank=1),
    Column("ERROR %", spare_rank=3),
    Column("P50 MAX", spare_rank=4),
    Column("P95 MAX", spare_rank=2),
    Column("SENT", spare_rank=6),
    Column("RECEIVED", spare_rank=5),
    Column("COST"),
]


def to_json(history: History, directory: str, project: Optional[str], by: str) -> str:
    skipped = dict.fromkeys(REASONS, 0)
    for (_, reason), lines in history.skipped.items():
        skipped[reason] += lines
    columns, books = GROUPINGS[by].columns, history.books()
    groups = books.groups(by)
    found = {
        "directory": _as_utf8(directory),
        "project": project and _as_utf8(project),
        "since": history.since and figures.utc(history.since),
        "by": by,
        "projects": [_as_utf8(name) for name in history.projects],
        "windows": history.windows,
        "firstWindow": history.first and figures.utc(history.first),
        "lastWindow": history.last and figures.utc(history.last),
        "total": _sums_to_json(books.total_below(groups)),
        "groups": [{**dict(zip(columns, key)), **_group_to_json(sums, by)} for key, sums in ranking(groups)],
        "skippedLines": skipped,
        "unreadFiles": [_as_utf8(path) for path in history.unread],
    }
    return figures.as_json(found)


def to_csv(history: History, by: str) -> str:
    """A row for each group, the dearest first; no total, for whoever adds them up."""
    columns, groups = GROUPINGS[by].columns, history.books().groups(by)
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow([*columns, *_group_to_json(Sums(), by)])
    for key, sums in ranking(groups):
        rows.writerow([*map(_as_cell, key), *_group_to_json(sums, by).values()])
    return text.getvalue()


def to_text(history: History, directory: str, by: str, width: int) -> str:
    """The head, the table, and what its titles mean."""
    columns = [Column(name.upper(), is_text=True) for name in GROUPINGS[by].columns]
    books = history.books()
    groups = books.groups(by)
    total = books.total_below(groups)
    has_sizes = GROUPINGS[by].has_sizes
    rows = [[*map(figures.printable, key), *_cells(sums, has_sizes=has_sizes)] for key, sums in ranking(groups)]
    rows.append(["TOTAL", *[""] * (len(columns) - 1), *_cells(total)])
    table = draw([*columns, *_FIGURES], rows, width)
    notes = ["P50 MAX and P95 MAX: the highest of the windows' p50 and p95, in TOTAL the highest of the rows."]
    if (UNTAGGED,) in groups:
        notes.append(
            f"{UNTAGGED}: all calls less the tagged ones. Its P50 MAX and P95 MAX are of the endpoints that it"
        )
        notes.append("shares with them, so of their calls, too.")
    if (NO_MODEL, NO_MODEL) in groups:
        notes.append(f"{NO_MODEL}: all calls less those of LLMs that told what they used; estimates are in here.")
        notes.append("Its P50 MAX and P95 MAX are of all captured requests, those within LLM calls, too.")
    unpriced = {key: sums.unpriced for key, sums in ranking(groups) if sums.unpriced}
    if unpriced:
        names = figures.listing([figures.printable(" ".join(key)) for key in unpriced])
        calls = figures.plural(sum(unpriced.values()), "call")
        notes.append(f"The price of {calls} is not known, here it is $0 or an estimate: {names}.")
    if table.left_out:
        notes.append(f"Left out, the terminal is too narrow: {', '.join(table.left_out)}.")
    return "\n".join([*_head(history, total, directory), "", *table.lines, "", *notes, ""])


def _group_to_json(sums: Sums, by: str) -> dict[str, Any]:
    found = {**_sums_to_json(sums), "unpricedCalls": to_int64(sums.unpriced)}
    return found if GROUPINGS[by].has_sizes else {**found, "requestBytes": None, "responseBytes": None}


def _sums_to_json(sums: Sums) -> dict[str, Any]:
    return {
        "calls": to_int64(sums.calls),
        "errors": to_int64(sums.errors),
        "errorPercent": round(100 * sums.errors / sums.calls, 3) if sums.calls else 0.0,
        "meanLatencyMs": round(sums.mean_ms, 3),
        "maxP50LatencyMs": sums.max_p50_ms,
        "maxP95LatencyMs": sums.max_p95_ms,
        "requestBytes": to_int64(sums.request_bytes),
        "responseBytes": to_int64(sums.response_bytes),
        "costCents": sums.cost_pico_usd / PICO_USD_PER_CENT,
    }


def _head(history: History, total: Sums, directory: str) -> list[str]:
    first, last = (figures.utc_seconds(moment) if moment else "?" for moment in (history.first, history.last))
    since = f", counted since {figures.utc_seconds(history.since)}" if history.since else ""
    projects = f"{figures.plural(len(history.projects), 'project')}: {figures.listing(history.projects)}"
    error_share = figures.percent(total.errors, total.calls)
    return [
        f"TOTAL COST  {figures.money(total.cost_pico_usd)}",
        f"calls       {figures.count(total.calls)}, errors {figures.count(total.errors)} ({error_share})",
        f"time        {first} to {last} UTC{since}",
        f"windows     {figures.count(history.windows)} of {projects}",
        f"files       {figures.printable(directory)}",
    ]


def _cells(sums: Sums, *, has_sizes: bool = True) -> list[str]:
    return [
        figures.count(sums.calls),
        figures.count(sums.errors),
        figures.percent(sums.errors, sums.calls),
        figures.latency(sums.max_p50_ms),
        figures.latency(sums.max_p95_ms),
        figures.size(sums.request_bytes) if has_sizes else "-",
        figures.size(sums.response_bytes) if has_sizes else "-",
        figures.money(sums.cost_pico_usd),
    ]


def _as_cell(name: str) -> str:
    """A spreadsheet takes some texts for formulas, and names come from outside."""
    return f"'{name}" if name.startswith(_FORMULAS) else name


def _as_utf8(name: str) -> str:
    """A file's name may be no UTF-8; JSON is."""
    return os.fsencode(name).decode("utf-8", "replace")
