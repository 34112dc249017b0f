"""A ``Status`` as one screen of text: the verdict first, then what it rests on."""

from __future__ import annotations

import time

from recost_collector.figures import ago
from recost_collector.open_spend import spend_text
from recost_collector.status import DestinationStatus, RingStatus, Status


def to_text(status: Status) -> str:
    """One screen: the verdict first."""
    lines = [headline(status), *_leader_text(status)]
    lines.extend(f"problem            {problem}" for problem in status.problems)
    lines.extend(_holdings_text(status))
    for other in status.elsewhere:
        lines += ["", *_leader_text(other), *_holdings_text(other)]
    return "\n".join(lines) + "\n"


def _leader_text(status: Status) -> list[str]:
    lines = [f"runtime directory  {status.runtime_dir}"]
    if status.leader is not None and status.leading:
        leader = status.leader
        since = _ago(leader.started_at_ms)
        who = f"pid {leader.pid}, {leader.kind}, recost {leader.version}, epoch {leader.epoch}"
        lines.append(f"collector          {who}, {since}")
        lines.append(f"spool              {leader.spool}")
    return lines


def _holdings_text(status: Status) -> list[str]:
    lines = [*_rings_text(status.rings), *_destinations_text(status.destinations), *spend_text(status.open_llm_spend)]
    if status.other_layouts:
        lines.append(
            f"\nleft alone         {len(status.other_layouts)} rings of another layout, for a recost that reads it"
        )
    if any(status.totals.values()):
        totals = ", ".join(f"{name} {value:,}" for name, value in status.totals.items() if value)
        lines.append(f"\nworkers gone       {totals}")
    return lines


def headline(status: Status) -> str:
    """The verdict in a line."""
    if status.exit_code == 0 and not status.leading:
        return "idle: nothing to collect, no collector needed"
    if status.exit_code == 0:
        return f"all is well: {len(status.rings)} worker rings"
    return "not well: " + status.problems[0]


def _rings_text(rings: list[RingStatus]) -> list[str]:
    if not rings:
        return []
    lines = [
        "",
        f"{'worker':>9}  {'recorded':>9}  {'backlog':>9}  {'dropped':>7}  project / environment -> destination",
    ]
    for ring in rings:
        gone = "" if ring.alive is not False else " (gone)"
        project = f"{ring.project or 'default'} / {ring.environment} -> {ring.destination}{gone}"
        lines.append(f"{ring.pid:>9}  {ring.recorded:>9,}  {ring.backlog_bytes:>8,}B  {ring.dropped:>7,}  {project}")
    return lines


def _destinations_text(destinations: list[DestinationStatus]) -> list[str]:
    if not destinations:
        return []
    lines = ["", f"{'waiting':>9}  {'parked':>9}  {'delivered':>9}  {'dropped':>7}  destination"]
    for found in destinations:
        last = f", last {_ago(found.delivered_at_ms)}" if found.delivered_at_ms else ""
        counts = f"{found.waiting:>9,}  {found.parked:>9,}  {found.delivered:>9,}  {found.dropped:>7,}"
        lines.append(f"{counts}  {found.destination}{last}")
        if found.last_error and found.last_error_at_ms >= found.delivered_at_ms:
            lines.append(f"{'':>42}last error {_ago(found.last_error_at_ms)}: {found.last_error}")
    return lines


def _ago(at_ms: int) -> str:
    return f"{ago(time.time_ns() // 1_000_000 - at_ms)} ago"
