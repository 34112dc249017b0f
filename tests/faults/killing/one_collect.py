"""A collect that can be broken at any point, and the account of what came of it.

Each call has a digit of its own: ``request_bytes`` of call ``n`` is ``8 ** n``.  So the sum in the file says of every
single call how often it was counted, up to seven times.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from recost.event import CallEvent, encode
from recost.leader import LEADER_INFO, LEADER_LOCK, SPAWN_LOCK
from recost.ring.layout import CLOSED, FLUSH_REQUESTED, FLUSHES, TAIL
from recost.ring.writer import Writer
from recost.session import Session
from recost_collector.exporters import load_exporters
from recost_collector.leading import Leadership, lead
from recost_collector.service import LostLead
from recost_collector.spool import SPOOL_FILE
from recost_collector.spool_place import ID_FILE
from tests.collector.collecting import Worker, file_session, runtime, turn_until
from tests.faults.row import Place

PROJECT = "shop"
BASE = 8
CALLS = 20
"""All calls of a try: so many digits fit into the 64 bits of a sum."""
EARLY, OF_THE_DEAD, LATE = range(10), range(10, 14), range(14, CALLS)
"""Calls of a living worker, of one that is dead when the collect begins, and of the living one after a collect."""
PATHS = ("/v1/carts", "/v1/orders", "/v1/goods")
MAX_BUCKETS = 2
"""Fewer than paths: a window closes because of it, so that there are several frames."""
FILE_MAX_BYTES = 1 << 16
"""The file is that full at the start: the first line moves it aside, and no line after it does."""
KEPT = {LEADER_INFO, LEADER_LOCK, SPAWN_LOCK, ID_FILE}
"""What a collector leaves in the runtime directory."""
TURNS = 12
WAIT_S = 1.0
FINISH_S = 2.0
TABLES_TO_EMPTY = ("frames", "cursors")
"""Of the spool: nothing of a call stays in them."""
NOUGHT = (*(f"count.{name}" for name in ("lost", "undecodable", "damaged_rows", "discarded_rings")), *TABLES_TO_EMPTY)
NOTHING: AbstractContextManager[object] = contextlib.nullcontext()


def new_place(root: Path) -> Place:
    """Empty folders below ``root``, entered; what was there is removed.

    All of them in shared memory: to a process that is killed it makes no difference, and thousands of tries need not
    wait for a disk.
    """
    load_exporters()  # as a collector does before it leads
    shutil.rmtree(root, ignore_errors=True)
    place = Place(*(root / name for name in Place._fields))
    for folder in place:
        folder.mkdir(mode=0o700, parents=True)
    place.enter()
    filler = {"metrics": [], "filler": "x" * (FILE_MAX_BYTES - 100)}
    (place.local / f"{PROJECT}.jsonl").write_text(json.dumps(filler) + "\n")
    return place


def session() -> Session:
    """Of the workers whose calls are collected."""
    plain = file_session(PROJECT, max_buckets=MAX_BUCKETS)
    destination = msgspec.structs.replace(plain.destination, file_max_bytes=FILE_MAX_BYTES)
    return msgspec.structs.replace(plain, destination=destination)


def event_of(number: int) -> CallEvent:
    """Call ``number``, from 0 on."""
    path = PATHS[number // 2 % len(PATHS)]
    return CallEvent(time.time_ns(), 5_000_000, "GET", "https", "api.example.com", path, 200, BASE**number, 20)


def offer(writer: Writer, numbers: Iterable[int]) -> None:
    for number in numbers:
        assert writer.offer(encode(event_of(number)))


def leave_a_dead_workers_ring() -> None:
    worker = Worker(session())
    offer(worker.writer, OF_THE_DEAD)
    worker.ring.words[CLOSED] = 1
    worker.ring.close()


def collect(traced: AbstractContextManager[object] = NOTHING, *, stay: bool = False) -> None:
    """Lead, take what is there, take it again when the workers have asked for a flush, end in good order.

    ``traced`` is around everything but the start.  ``stay``: until every ring is gone, as a collector does whose
    workers have left. The lock of one that was killed just now can be held for another moment: by a program that
    reads the dead process's memory map, and with it the ring's.
    """
    leadership = lead(runtime(), "spawned", patience_s=5.0)
    assert leadership is not None, "another collector leads"
    with traced:
        try:
            _work(leadership)
            if stay:
                turn_until(leadership, lambda: not leadership.service.rings.sources, what="every ring to go")
            leadership.finish(FINISH_S)
        except LostLead:  # as ``process.run`` does
            leadership.give_back()


def faults_of(place: Place) -> list[str]:
    """What is wrong after the last collector has left, in words. Nothing: every call is in the file, once."""
    try:
        metrics = metrics_in(place)
        counters = counters_in(place)
    except (ValueError, OSError, sqlite3.Error) as exc:
        return [f"the file or the spool cannot be read: {exc}"]
    found = _faults_of_sums(metrics)
    wanted = {"count.recorded": CALLS, **dict.fromkeys(NOUGHT, 0)}
    found += [f"{name} = {counters.get(name, 0)}" for name, value in wanted.items() if counters.get(name, 0) != value]
    left = {entry.name for entry in place.runtime.iterdir()} - KEPT
    return [*found, f"left in the runtime directory: {sorted(left)}"] if left else found


def metrics_in(place: Place) -> list[dict[str, Any]]:
    """Of all windows in the local file, the one moved aside included. Raises ``ValueError`` for half a line."""
    metrics: list[dict[str, Any]] = []
    for name in (f"{PROJECT}.1.jsonl", f"{PROJECT}.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            for line in (place.local / name).read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    raise ValueError(f"half a line in {name}: {line[-80:]!r}")
                metrics += msgspec.json.decode(line)["metrics"]
    return metrics


def counters_in(place: Place) -> dict[str, int]:
    """What the spool has counted, and the rows in its ``TABLES_TO_EMPTY``."""
    directory = place.state / (place.runtime / ID_FILE).read_text()
    with contextlib.closing(sqlite3.connect(os.path.join(directory, SPOOL_FILE))) as db:
        counters = dict(db.execute("SELECT name, value FROM meta WHERE name LIKE 'count.%'"))
        left = {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES_TO_EMPTY}
    return {**counters, **left}


def sum_of(metrics: Iterable[dict[str, Any]], of: str) -> int:
    return sum(metric[of] for metric in metrics)


def _work(leadership: Leadership) -> None:
    leadership.turn(time.monotonic())
    leadership.wake.wait(WAIT_S if leadership.service.delivery.is_busy() else 0)
    _ask_for_flush(leadership)
    for _ in range(TURNS):
        leadership.turn(time.monotonic())
        if not leadership.service.delivery.is_busy():
            break
        leadership.wake.wait(WAIT_S)


def _ask_for_flush(leadership: Leadership) -> None:
    """What a worker does, here so that it comes at the same point of every run."""
    for source in leadership.service.rings.sources.values():
        words = source.file.words
        words[FLUSH_REQUESTED] = words[TAIL]
        words[FLUSHES] += 1


def _faults_of_sums(metrics: list[dict[str, Any]]) -> list[str]:
    counted = sum_of(metrics, "requestCount")
    digits, times = sum_of(metrics, "totalRequestBytes"), {}
    for number in range(CALLS):
        digits, times[number] = divmod(digits, BASE)
    wrong = {number: found for number, found in times.items() if found != 1}
    if counted == CALLS and not wrong:
        return []
    return [f"of {CALLS} calls {counted} are in the file; these not once (call: times): {wrong}"]
