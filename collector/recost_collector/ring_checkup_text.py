"""Findings as a person reads them: the verdict, then each ring, what is wrong with it first."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional

from recost_collector import figures
from recost_collector.figures import plural, printable, size
from recost_collector.ring_facts import (
    CollectorFacts,
    DirectoryReport,
    Event,
    Findings,
    HeaderFacts,
    Problem,
    RingReport,
    Tally,
    WordFacts,
)
from recost_collector.table import Column, draw

LABEL_WIDTH = 12
_COLUMNS = [
    Column("TIME (UTC)"),
    Column("METHOD", is_text=True),
    Column("HOST", is_text=True),
    Column("PATH", is_text=True),
    Column("STATUS"),
    Column("MS"),
    Column("", is_text=True),
]


def to_text(findings: Findings, width: int) -> str:
    """``width`` of the terminal; 0: as wide as it gets."""
    lines = [_headline(findings)]
    for directory in findings.directories:
        lines += _directory_lines(directory)
    for ring in findings.rings:
        lines += ["", *_ring_lines(ring)]
        if ring.events:
            lines += ["", *_events(ring.events, width)]
    return "\n".join(map(printable, lines)) + "\n"


def _headline(findings: Findings) -> str:
    wrong = [ring for ring in findings.rings if ring.problems]
    rings = plural(len(findings.rings), "ring")
    if wrong:
        return f"not well: {len(wrong):,} of {rings}"
    if any(found.problems for found in findings.directories):
        return f"not well: {rings} without fault, but not what is around them"
    if findings.unreachable:
        return f"not all could be looked at; {rings} without fault"
    return f"all is well: {rings}" if findings.rings else "no rings: nobody has made a call, or all is collected"


def _directory_lines(found: DirectoryReport) -> list[str]:
    lines = [
        _line("directory", found.path),
        _line("collector", _collector(found.collector)),
        *_problems(found.problems),
    ]
    if found.quarantine:
        text = f"{size(found.quarantine_bytes)} that a collector could not read and gave up: {found.quarantine}"
        lines.append(_line("quarantine", text))
    return lines


def _collector(found: CollectorFacts) -> str:
    who = f"pid {found.pid}, {found.kind}, recost {found.version}" if found.version else f"pid {found.pid}"
    if found.state == "at work":
        return f"{who}, at work"
    if found.state == "silent":
        return f"{who}, holds its lock and does nothing"
    return "none" if found.state == "none" else f"{who}; whether it works cannot be seen from here"


def _ring_lines(ring: RingReport) -> list[str]:
    lines = [("" if ring.finished else "unfinished ") + ring.path, *_problems(ring.problems)]
    if ring.file is not None:
        made = f", made {_when(ring.header.made_at_ms)}" if ring.header is not None and ring.header.made_at_ms else ""
        layout = f", layout {ring.header.layout}" if ring.header is not None else ""
        mode = f"mode {ring.file.mode}, uid {ring.file.uid}"
        lines.append(_line("file", f"{size(ring.file.size_bytes)}, {mode}{layout}{made}"))
    if ring.header is not None and ring.header.ring_id:
        lines.append(_line("ring id", ring.header.ring_id))
        lines.append(_line("worker", _worker(ring, ring.header)))
    if ring.session is not None:
        found = ring.session
        project = f"{found.project or 'default'} / {found.environment} -> {found.destination}"
        version = f", recost {found.sdk_version}" if found.sdk_version else ""
        lines.append(_line("session", f"{project}{version}, {'with a' if found.has_key else 'no'} key"))
    if ring.words is not None and ring.header is not None:
        lines += _word_lines(ring.words, ring.header.capacity_bytes, ring.records)
    return lines + [_line("notice", f"{found.kind}: {found.text}") for found in ring.notices]


def _worker(ring: RingReport, header: HeaderFacts) -> str:
    if ring.owner is None:
        return f"pid {header.pid}"
    state = ring.owner.state
    text = f"pid {header.pid}, {state if state in ('alive', 'dead') else f'in {state}'}"
    if ring.words is not None and ring.words.closed:
        text += ", has finished in good order"
    holder = ring.owner.lock_pid
    if holder is None or (state == "alive" and holder == header.pid):
        return text
    if state == "alive":
        return f"{text}, here pid {holder}"
    if holder == header.pid:
        return f"{text}; a process that it forked still holds its lock: the ring is collected when that ends"
    return f"{text}; pid {holder} has its lock"


def _word_lines(words: WordFacts, capacity: int, records: Optional[Tally]) -> list[str]:
    waiting = f"{words.backlog_bytes:,} bytes wait, {words.fill_percent:g}% of {size(capacity)}"
    dropped = (
        f"{words.dropped_full:,} full, {words.dropped_big:,} too big, {words.lost:,} lost, {words.faults:,} faults"
    )
    flush = words.flush_status
    if words.flush_at_ms:
        flush += f", {words.flush_size:,} entries, {_when(words.flush_at_ms)}"
    asked = f", asked for up to {words.flush_requested:,}" if words.flushes > words.flushes_done else ""
    beat = f"heartbeat {words.heartbeat:,}, epoch {words.epoch:,}, flushed through {words.flushed_through:,}{asked}"
    refused = f", {plural(words.auth_failures, '401')} in a row" if words.auth_failures else ""
    lines = [_line("positions", f"head {words.head:,}, tail {words.tail:,}: {waiting}")]
    if records is not None:
        lines += _record_lines(words, records)
    return [
        *lines,
        _line("dropped", dropped),
        _line("collector", beat if words.heartbeat else "none has seen it yet"),
        _line("last flush", f"{flush}{refused}"),
    ]


def _record_lines(words: WordFacts, records: Tally) -> list[str]:
    waits = f"{records.readable:,} readable of those that wait" if words.backlog_bytes else "none waits"
    parts = [f"{words.published:,} published, {waits}"]
    if records.readable_behind:
        parts.append(f"{records.readable_behind:,} more behind what is unreadable")
    if records.released:
        parts.append(f"{records.released:,} collected and still readable")
    if records.moved_on:
        parts.append("collected while they were counted")
    lines = [_line("records", ", ".join(parts))]
    if records.last_event_at_ms is not None:
        oldest = records.first_event_at_ms
        since = f", the oldest that waits {_when(oldest)}" if oldest is not None else ""
        lines.append(_line("calls", f"the last {_when(records.last_event_at_ms)}{since}"))
    return lines


def _events(events: list[Event], width: int) -> list[str]:
    rows = [
        [
            _moment(found.at_ms)[:23],
            printable(found.method),
            printable(found.host),
            printable(found.path),
            str(found.status),
            f"{found.ms:.1f}",
            "" if found.released else "waits",
        ]
        for found in events
    ]
    waiting = sum(not found.released for found in events)
    rows.append([plural(len(events), "call"), "", "", "", "", "", f"{waiting:,} wait"])
    return draw(_COLUMNS, rows, width).lines


def _problems(problems: list[Problem]) -> list[str]:
    return [
        _line("PROBLEM", f"{problem.text}. To do: {problem.mend}" if problem.mend else problem.text)
        for problem in problems
    ]


def _line(label: str, text: str) -> str:
    return f"  {label:<{LABEL_WIDTH}}{text}"


def _when(ms: int) -> str:
    moment = _moment(ms)
    return f"{moment[:19]} UTC" if moment != "?" else moment


def _moment(ms: int) -> str:
    """To the millisecond, in UTC. A file may claim one that is beyond any calendar."""
    try:
        moment = datetime.fromtimestamp(ms / 1000, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return "?"
    return figures.utc(moment).replace("T", " ")
