"""A ``Status`` as one screen of text: the verdict and what to do first, then what it rests on."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence

from recost_collector.figures import ago, count, percent, plural, printable
from recost_collector.open_spend import spend_text
from recost_collector.paint import Painter
from recost_collector.status import DestinationStatus, RingStatus, Status
from recost_collector.status_judge import destination_troubles
from recost_collector.table import Column, draw

MOST_TROUBLES = 4
MOST_PROJECTS = 5
MOST_DESTINATIONS = 4
"""On one screen; --json has all of them."""
_TOTALS = {
    "dropped_full": "not recorded, for the ring was full",
    "dropped_big": "not recorded, for they were too big",
    "undecodable": "unreadable",
    "faults": "faults of recost's",
}
_RINGS = [
    Column("WORKERS"),
    Column("RECORDED"),
    Column("BACKLOG", spare_rank=2),
    Column("DROPPED", spare_rank=1),
    Column("PIDS", is_text=True, spare_rank=3),
    Column("PROJECT / ENVIRONMENT", is_text=True),
]
_DESTINATIONS = [
    Column("WAITING"),
    Column("PARKED"),
    Column("DELIVERED", spare_rank=2),
    Column("DROPPED", spare_rank=1),
    Column("LAST", spare_rank=3),
    Column("DESTINATION", is_text=True),
]
_MORE = "more: recost-collector top (what is called now), report (what it cost), doctor (what else is wrong)"


def to_text(status: Status, painter: Painter, width: int) -> str:
    """``width`` of the terminal; 0: as wide as it gets."""
    colour = "red" if status.exit_code else "green"
    lines = [painter.paint(printable(headline(status)), colour), *_troubles(status, painter), ""]
    lines += [*_leader(status), *_holdings(status, width)]
    for other in status.elsewhere:
        lines += ["", *_leader(other), *_holdings(other, width)]
    return "\n".join([*lines, "", _MORE, ""])


def headline(status: Status) -> str:
    """The verdict in a line."""
    if status.exit_code == 0 and not status.leading:
        return "idle: nothing to collect, no collector needed"
    if status.exit_code == 0:
        waiting = sum(found.waiting for found in status.destinations)
        delivery = f"{plural(waiting, 'window')} on the way" if waiting else "nothing waits"
        return f"all is well: {plural(len(status.rings), 'worker')}, {delivery}"
    return f"not well: {status.troubles[0].text}"


def _troubles(status: Status, painter: Painter) -> list[str]:
    lines = []
    for number, trouble in enumerate(status.troubles[:MOST_TROUBLES]):
        if number:
            lines.append(painter.paint(printable(f"and: {trouble.text}"), "red"))
        if trouble.mend:
            lines.append(painter.paint(printable(f"  to do: {trouble.mend}"), "yellow"))
    more = len(status.troubles) - MOST_TROUBLES
    return [*lines, f"and {more} more: recost-collector status --json"] if more > 0 else lines


def _leader(status: Status) -> list[str]:
    lines = []
    if status.leader is not None and status.leading:
        leader = status.leader
        who = f"pid {leader.pid}, {leader.kind}, recost {leader.version}, leads for {_passed(leader.started_at_ms)}"
        lines.append(f"collector          {who}")
        lines.append(f"spool              {leader.spool}")
    lines.insert(1, f"runtime directory  {status.runtime_dir}")
    return list(map(printable, lines))


def _holdings(status: Status, width: int) -> list[str]:
    lines = [*_rings(status.rings, width), *_destinations(status, width)]
    lines += spend_text(status.open_llm_spend)
    if status.other_layouts:
        rings = plural(len(status.other_layouts), "ring")
        lines += ["", f"left alone         {rings} of another layout, for a recost that reads it"]
    if any(status.totals.values()):
        totals = ", ".join(f"{_TOTALS.get(name, name)} {value:,}" for name, value in status.totals.items() if value)
        lines += ["", f"workers gone       {totals}"]
    return lines


def _rings(rings: Sequence[RingStatus], width: int) -> list[str]:
    """A row for each project and environment, however many workers it has."""
    projects: dict[str, list[RingStatus]] = {}
    for ring in rings:
        projects.setdefault(f"{ring.project or 'default'} / {ring.environment}", []).append(ring)
    rows = [[*_ring_cells(found), printable(name)] for name, found in sorted(projects.items())]
    return _table(_RINGS, rows, MOST_PROJECTS, [*_ring_cells(rings)[:4], "", "all"], width)


def _ring_cells(rings: Sequence[RingStatus]) -> list[str]:
    return [
        count(len(rings)),
        count(sum(ring.recorded for ring in rings)),
        percent(sum(ring.backlog_bytes for ring in rings), sum(ring.capacity_bytes for ring in rings)),
        count(sum(ring.dropped for ring in rings)),
        " ".join(f"{ring.pid}(gone)" if ring.alive is False else str(ring.pid) for ring in rings),
    ]


def _destinations(status: Status, width: int) -> list[str]:
    """Those in trouble first, then those in use, then those that nobody uses any more."""
    in_use = {ring.destination for ring in status.rings}
    rows = [
        [
            *_counts([found]),
            f"{_passed(found.delivered_at_ms)} ago" if found.delivered_at_ms else "never",
            printable(found.destination),
        ]
        for found in sorted(status.destinations, key=lambda found: _rank(found, in_use))
    ]
    return _table(_DESTINATIONS, rows, MOST_DESTINATIONS, [*_counts(status.destinations), "", "all"], width)


def _rank(found: DestinationStatus, in_use: Container[str]) -> tuple[int, ...]:
    is_idle = not found.waiting and found.destination not in in_use
    return not destination_troubles(found), is_idle, -found.parked, -found.waiting, -found.delivered_at_ms


def _counts(found: Sequence[DestinationStatus]) -> list[str]:
    return [
        count(sum(each.waiting for each in found)),
        count(sum(each.parked for each in found)),
        count(sum(each.delivered for each in found)),
        count(sum(each.dropped for each in found)),
    ]


def _table(columns: list[Column], rows: list[list[str]], most: int, total: list[str], width: int) -> list[str]:
    """With a total where there is something to add up. Empty without rows."""
    if not rows:
        return []
    if len(rows) > most:
        total = [*total[:-1], f"all ({len(rows) - most:,} more in --json)"]
    if len(rows) > 1:
        return ["", *draw(columns, [*rows[:most], total], width).lines]
    drawn = draw(columns, rows, width).lines
    return ["", *drawn[:-2], drawn[-1]]  # without the rule: there is nothing to add up


def _passed(since_ms: int) -> str:
    return ago(time.time_ns() // 1_000_000 - since_ms)
