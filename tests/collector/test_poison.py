"""Nothing that lies in the spool, in a ring or in the way keeps every collector from starting or from going on."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.msgpack import encode

from recost.notice import Notice
from recost.ring.layout import DROPPED_BIG, DROPPED_FULL, NOTICES, RECORDS, TAIL
from recost.session import Destination, Session
from recost_collector.changes import Changes, DestinationState, KeyState, Part, StoredFrame
from recost_collector.leading import Leadership, lead
from recost_collector.service import LostLead
from recost_collector.spool import SPOOL_FILE, Fenced, Spool, SpoolTrouble
from tests.collector.collecting import (
    Worker,
    collector,
    counted,
    file_session,
    moved_aside,
    runtime,
    total,
    turn_times,
    turn_until,
)

LARGEST = (1 << 64) - 1
NEGATIVE = DestinationState(keys={"": KeyState(auth_failures=-1)})
FRAME = """
    INSERT INTO frames SELECT 7, d.id, s.id, 'k', x'7b7d', '1', 5, 0, 2, 0, 0, 0, 0, ''
        FROM destinations AS d, sessions AS s;
    INSERT INTO settles SELECT 7, ring, 0, position FROM cursors
"""
NEGATIVE_FRAME = FRAME.replace("5, 0, 2", "-5, 0, 2")
ELSEWHERE = encode(Destination("http://127.0.0.1:9", "shop")).hex()


def _rows(leadership: Leadership, table: str) -> int:
    with sqlite3.connect(Path(leadership.state_dir) / SPOOL_FILE) as db:
        count: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    db.close()
    return count


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def _killed(leadership: Leadership) -> Iterator[sqlite3.Connection]:
    """What a SIGKILL leaves, open to be damaged."""
    path = Path(leadership.state_dir) / SPOOL_FILE
    leadership.give_back()
    db = sqlite3.connect(path)
    yield db
    db.commit()
    db.close()


def _lead() -> Leadership:
    leadership = lead(runtime(), "thread", 1.0)
    assert leadership is not None
    return leadership


def test_a_session_that_comes_back_just_after_it_was_let_go_keeps_its_row() -> None:
    first = _lead()
    worker = Worker(file_session())
    worker.call()
    worker.ask_for_flush()
    turn_until(first, worker.is_settled)
    worker.leave()
    turn_until(first, lambda: not first.service.rings.sources, what="the ring to be reaped")
    again = Worker(file_session())
    again.calls(5)
    turn_until(first, lambda: _rows(first, "deltas"), what="the open window")
    assert _rows(first, "sessions") == 1
    first.give_back()

    with collector() as second:
        again.leave()
        turn_until(second, lambda: total() == 6, what="all calls")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE sessions SET session = x'c1'",
        "DELETE FROM sessions",
        "UPDATE deltas SET body = x'c1'",
        "UPDATE deltas SET body = 'text'",
        "UPDATE destinations SET state = x'c1'",
        "UPDATE cursors SET position = 'x'",
        "INSERT INTO frames (id, destination, session, key, body) VALUES (7, 'nowhere', 'none', 'k', x'00')",
        "INSERT INTO meta VALUES ('count.lost', 'many')",
        f"UPDATE destinations SET state = x'{encode(NEGATIVE).hex()}'",
        NEGATIVE_FRAME,
        f"{FRAME}; UPDATE destinations SET destination = x'{ELSEWHERE}'",
    ],
)
def test_a_damaged_row_is_set_aside_and_counted_once(damage: str) -> None:
    first = _lead()
    worker = Worker(file_session(flush_interval_ms=600_000))
    worker.calls(5)
    turn_until(first, lambda: _rows(first, "deltas"), what="the open window")
    with _killed(first) as db:
        db.executescript(damage)

    second = _lead()
    assert not moved_aside(second)
    damaged = counted("damaged_rows", second)
    assert damaged >= 1
    worker.calls(3)
    worker.ask_for_flush()
    turn_until(second, worker.is_settled)
    assert total() >= 3
    second.give_back()
    with collector() as third:
        assert counted("damaged_rows", third) == damaged
        worker.leave()


@pytest.mark.parametrize("damage", ["DROP TABLE frames; CREATE TABLE frames (id)", "UPDATE meta SET value = 'x'"])
def test_a_spool_that_cannot_be_loaded_is_moved_aside(damage: str) -> None:
    first = _lead()
    with _killed(first) as db:
        db.executescript(damage)

    with collector() as second:
        assert moved_aside(second)
        worker = Worker(file_session())
        worker.calls(2)
        worker.leave()
        turn_until(second, lambda: total() == 2, what="the calls")


@pytest.mark.parametrize("word", [TAIL, RECORDS, DROPPED_FULL, DROPPED_BIG, NOTICES])
@pytest.mark.parametrize("before", [True, False])
def test_nonsense_in_a_ring_ends_no_collector(word: int, *, before: bool) -> None:
    bad, good = Worker(file_session("bad")), Worker(file_session("good"))
    bad.call()
    good.calls(4)
    if before:
        bad.ring.words[word] = LARGEST
    with collector() as leadership:
        turn_times(leadership, 10)
        bad.ring.words[word] = LARGEST
        leadership.service.say_at_start(Notice("degraded", "x"))
        late = Worker(file_session("late"))
        turn_until(leadership, lambda: late.ring.words[NOTICES], what="all to be told")
        late.leave()
        good.leave()
        bad.leave()
        turn_until(leadership, lambda: total("good") == 4, what="the good one")
        turn_until(leadership, lambda: not leadership.service.rings.sources, what="the bad one to go")
        turn_times(leadership, 10)
        refused = {f"ring-{bad.name}"} if word == TAIL else set()
        assert set(leadership.service.rings.refused) == refused
    with collector() as again:
        turn_times(again, 10)


def test_a_failing_start_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    _lead().give_back()
    before = _open_files()
    monkeypatch.setattr("recost_collector.leading.write_leader", None)
    for _ in range(3):
        with pytest.raises(TypeError):
            lead(runtime(), "thread", 1.0)
    assert _open_files() == before


def test_a_collector_that_gives_back_leaves_nothing_open() -> None:
    worker = Worker(file_session())
    before = _open_files()
    leadership = _lead()
    turn_until(leadership, lambda: leadership.service.rings.sources, what="the ring")
    leadership.give_back()
    assert _open_files() == before
    worker.leave()


def test_a_spool_that_cannot_begin_is_trouble_and_stays(tmp_path: Path) -> None:
    Spool(str(tmp_path), "boot").close()
    with sqlite3.connect(tmp_path / SPOOL_FILE, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolTrouble, match="locked"):
            Spool(str(tmp_path), "boot")
        other.execute("ROLLBACK")
    other.close()
    spool = Spool(str(tmp_path), "boot")
    assert not spool.moved_aside
    spool.close()
    with pytest.raises(sqlite3.ProgrammingError):
        spool._db.execute("SELECT 1")
    for read in (spool.load, lambda: spool.body(1), lambda: spool.knows("x"), lambda: spool.has_frames("x")):
        with pytest.raises(SpoolTrouble):
            read()


def test_a_frame_that_has_settled_holds_no_rows_for_its_rings(tmp_path: Path) -> None:
    destination = Destination("file:///tmp/x.jsonl", "x")
    spool = Spool(str(tmp_path), "boot")
    changes = Changes()
    frames = [
        StoredFrame(spool.next_frame_id(), destination.id, "s", key, b"x", "1", 1, 5, 1, parts=(Part("r", 0, 8),))
        for key in ("one", "two")
    ]
    changes.new_frames = frames
    changes.sessions["s"] = Session(destination)
    changes.destinations[destination.id] = (destination, DestinationState())
    spool.commit(changes)
    frames[0].settled = True
    changes = Changes()
    changes.changed_frames = [frames[0]]
    spool.commit(changes)

    assert [len(frame.parts) for frame in spool.load().frames] == [0, 1]
    spool.close()


def test_a_removed_spool_ends_the_lead_before_anything_is_released() -> None:
    first = _lead()
    worker = Worker(file_session())
    worker.calls(2)
    turn_until(first, lambda: _rows(first, "deltas"), what="the first calls")
    for path in Path(first.state_dir).iterdir():
        path.unlink()
    worker.calls(3)
    with pytest.raises(LostLead, match="removed"):
        turn_until(first, lambda: False)
    first.give_back()

    with collector() as second:
        worker.leave()
        turn_until(second, lambda: total() >= 3, what="what was not committed")


def test_a_look_at_the_spools_file_that_fails_is_no_sign_that_it_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    spool = Spool(str(tmp_path), "boot")
    changes = Changes()
    changes.counters = {"count.recorded": 7}
    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", fail)
        with pytest.raises(SpoolTrouble):
            spool.commit(changes)
    spool.commit(changes)
    assert spool.load().counters == changes.counters

    (tmp_path / SPOOL_FILE).unlink()
    with pytest.raises(Fenced):
        spool.commit(changes)
    spool.close()
