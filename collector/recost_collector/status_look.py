"""A look at the host for ``recost-collector status``, into shared memory and files alone.

Asks the collector nothing, so it also answers when that hangs; takes no lock that a running collector could miss.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import Optional

import msgspec

from recost import session
from recost.event import UNDECODABLE
from recost.leader import LEADER_LOCK, Leader, has_leader, read_leader
from recost.origins import process_start
from recost.paths import check_private_dir, runtime_dirs
from recost.ring.files import RING_PREFIX
from recost.ring.layout import (
    DROPPED_BIG,
    DROPPED_FULL,
    FAULTS,
    HEAD,
    LOST,
    RECORDS,
    TAIL,
    BadRing,
    OtherLayout,
)
from recost_collector.changes import DestinationState, KeyState, with_status
from recost_collector.open_spend import count_open_sessions, read_open_spend
from recost_collector.ring_peek import RingPeek, beat, peek
from recost_collector.spool import SPOOL_FILE, SpoolTrouble
from recost_collector.spool_peek import open_to_read
from recost_collector.spool_place import ID_FILE
from recost_collector.status import DestinationStatus, RingStatus, Status, Trouble, nothing
from recost_collector.status_judge import DOCTOR_SAYS_WHY, judge
from recost_collector.totals import LAST_AT
from recost_collector.words import about_file

BEAT_WAIT_S = 2.0
"""A leader turns at least five times a second; this long without a turn, it hangs."""


def gather() -> Status:
    """Look at everything once. Waits up to ``BEAT_WAIT_S`` for a sign of life of each leader."""
    first, *others = runtime_dirs()
    elsewhere = [found for found in map(_look_elsewhere, others) if found is not None]
    try:
        status = _look(first)
    except OSError as exc:
        if not elsewhere:
            raise
        status = nothing(first)
        status.note([Trouble(about_file(exc))])
    for other in elsewhere:
        text = f"degraded: rings are in {other.runtime_dir}, for {first} took none"
        status.note([*status.troubles, Trouble(text, DOCTOR_SAYS_WHY), *other.troubles])
        status.exit_code = max(status.exit_code, other.exit_code, 1)
    status.elsewhere = elsewhere
    return status


def _look_elsewhere(directory: str) -> Optional[Status]:
    """None when nothing of ours is in use there."""
    try:
        found = _look(directory)
    except OSError:  # somebody else's
        return None
    return found if found.rings or found.leading or found.exit_code else None


def _look(directory: str) -> Status:
    status = nothing(directory)
    if not os.path.lexists(directory):
        return status
    check_private_dir(directory)
    status.leader = read_leader(directory)
    status.leading = os.path.exists(os.path.join(directory, LEADER_LOCK)) and has_leader(directory)
    _read_rings(directory, status)
    _read_spool(directory, status)
    judge(status)
    return status


def _read_rings(directory: str, status: Status) -> None:
    beats = []
    with contextlib.ExitStack() as opened:
        for name in sorted(os.listdir(directory)):
            if not name.startswith(RING_PREFIX):
                continue
            try:
                fd = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                opened.callback(os.close, fd)
                found = peek(fd)
            except FileNotFoundError:
                continue
            except OtherLayout as exc:
                status.other_layouts[name] = str(exc)
                continue
            except (BadRing, OSError, ValueError, *UNDECODABLE) as exc:
                status.refused[name] = str(exc)
                continue
            status.rings.append(_ring_status(name, found))
            beats.append((fd, beat(fd)))
        if beats:
            status.beating = _wait_for_beat(beats)


def _ring_status(name: str, found: RingPeek) -> RingStatus:
    header, words, registered = found
    same_namespace = header.pid_namespace == os.stat("/proc/self/ns/pid").st_ino if os.path.exists("/proc") else True
    return RingStatus(
        name=name,
        pid=header.pid,
        alive=process_start(header.pid) == header.process_start if same_namespace else None,
        project=registered.destination.project_id,
        environment=registered.environment,
        destination=registered.destination.url,
        sdk_version=registered.sdk_version,
        recorded=words[RECORDS],
        backlog_bytes=max(0, words[TAIL] - words[HEAD]),
        capacity_bytes=header.capacity,
        dropped=words[DROPPED_FULL] + words[DROPPED_BIG],
        faults=words[FAULTS],
        lost=words[LOST],
    )


def _wait_for_beat(beats: list[tuple[int, bytes]]) -> bool:
    deadline = time.monotonic() + BEAT_WAIT_S
    while all(beat(fd) == before for fd, before in beats):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _read_spool(directory: str, status: Status) -> None:
    path = _spool_path(directory, status.leader)
    if path is None:
        return
    try:
        with open_to_read(os.path.dirname(path)) as db:
            _read_rows(db, status)
    except (SpoolTrouble, TypeError, *UNDECODABLE) as exc:
        text = f"the spool cannot be read: {exc}: {path}"
        status.note([Trouble(text, "the collector moves it aside at its next start")])


def _read_rows(db: sqlite3.Connection, status: Status) -> None:
    for name, value in db.execute("SELECT name, value FROM meta WHERE name LIKE 'count.%'"):
        status.totals[name.partition(".")[2]] = value
    for name, at_ms in db.execute("SELECT name, value FROM meta WHERE name LIKE ?", (f"{LAST_AT}%",)):
        status.totals_at_ms[name[len(LAST_AT) :]] = at_ms
    status.open_sessions = count_open_sessions(db)
    status.open_llm_spend = read_open_spend(db)
    waiting = {
        row[0]: row[1:]
        for row in db.execute(
            "SELECT destination, sum(NOT parked), sum((NOT parked) * size), sum(parked) FROM frames"
            " GROUP BY destination"
        )
    }
    reasons: dict[str, list[str]] = {}
    for name, code, reason in db.execute(
        "SELECT destination, status, reason FROM frames WHERE parked"
        " GROUP BY destination, status, reason ORDER BY count(*) DESC"
    ):
        reasons.setdefault(name, []).append(with_status(reason, code))
    for name, destination, state in db.execute("SELECT id, destination, state FROM destinations"):
        status.destinations.append(
            _destination_status(destination, state, waiting.get(name, (0, 0, 0)), reasons.get(name, []))
        )


def _spool_path(directory: str, leader: Optional[Leader]) -> Optional[str]:
    """The spool of this runtime directory: where the last leader said, if it is still the one of its id file."""
    try:
        with open(os.path.join(directory, ID_FILE), encoding="ascii") as file:
            name = file.read(64)
    except OSError:
        return None
    if leader is None or os.path.basename(leader.spool) != name:
        return None
    path = os.path.join(leader.spool, SPOOL_FILE)
    return path if os.path.exists(path) else None


def _destination_status(
    destination: bytes, state: bytes, waiting: tuple[int, int, int], reasons: list[str]
) -> DestinationStatus:
    found = msgspec.msgpack.decode(destination, type=session.Destination)
    stands = msgspec.msgpack.decode(state, type=DestinationState)
    keys = stands.keys.values()
    return DestinationStatus(
        destination=found.url,
        waiting=waiting[0],
        waiting_bytes=waiting[1],
        parked=waiting[2],
        delivered=stands.delivered,
        delivered_at_ms=stands.delivered_at_ms,
        dropped=stands.dropped,
        auth_failures=max((key.auth_failures for key in keys), default=0),
        suspended=any(key.suspended for key in keys),
        wait_until_ms=max((key.wait_until_ms for key in keys if _asked_last(key, stands)), default=0),
        last_error=stands.last_error,
        last_error_at_ms=stands.last_error_at_ms,
        parked_reasons=reasons,
        last_kind=stands.last_kind,
    )


def _asked_last(key: KeyState, stands: DestinationState) -> bool:
    """Whether the wait is what the last answer asked for: that of a key that is not used any more holds nothing up."""
    return key.wait_until_ms - key.wait_ms == stands.last_error_at_ms
