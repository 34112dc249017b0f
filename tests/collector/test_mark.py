"""A spool that lost what was committed in it: noticed, counted, told, and nothing sent or counted twice."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Callable

import pytest

from recost.ring.layout import HEAD, HEARTBEAT
from recost.ring.notices import read_notices
from recost_collector.leading import Leadership, lead
from recost_collector.mark import ANY_FILE, CONDEMNED, Mark, Marked, is_behind
from recost_collector.service import LostLead
from recost_collector.spool import SPOOL_FILE
from tests.collector.collecting import (
    Worker,
    collector,
    counted,
    delivered,
    file_session,
    moved_aside,
    runtime,
    total,
    turn_until,
)

FILE = (5, 77)


def _lead() -> Leadership:
    leadership = lead(runtime(), "thread", 1.0)
    assert leadership is not None
    return leadership


def _deliver(leadership: Leadership, worker: Worker, calls: int) -> None:
    worker.calls(calls)
    worker.ask_for_flush()
    turn_until(leadership, worker.is_settled, what="the flush")


def _leave_open(leadership: Leadership, worker: Worker, calls: int) -> None:
    worker.calls(calls)
    turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="the commit")


def _checkpoint(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def _heard(worker: Worker) -> list[str]:
    return [notice.message for notice in read_notices(worker.ring, 0).notices]


@pytest.mark.parametrize(
    ("marked", "commits", "is_new", "expected"),
    [
        (Marked(), 0, True, False),  # nothing was noted
        (Marked(9, 0, 0, FILE), 9, False, False),
        (Marked(9, 0, 0, FILE), 10, False, False),  # killed before it was noted
        (Marked(9, 0, 0, FILE), 8, False, True),
        (Marked(9, 0, 0, FILE), 0, True, False),  # the old one was adopted, and the inode used again
        (Marked(9, 0, 0, (5, 78)), 8, False, False),  # a container with a disk of its own
        (Marked(CONDEMNED, 0, 0, FILE), 1 << 40, False, True),
        (Marked(CONDEMNED, 0, 0, ANY_FILE), 0, True, True),  # removed while it was in use
    ],
)
def test_which_spools_are_behind(marked: Marked, commits: int, expected: bool, *, is_new: bool) -> None:
    assert is_behind(marked, commits, FILE, is_new=is_new) is expected


def test_a_mark_is_there_for_the_next_leader_and_garbage_is_none(tmp_path: Path) -> None:
    mark = Mark(str(tmp_path), "/a/spool")
    assert mark.read() == Marked()
    mark.note(Marked(3, 2, 1, FILE))
    mark.close()
    again = Mark(str(tmp_path), "/a/spool")
    assert again.read() == Marked(3, 2, 1, FILE)
    assert Mark(str(tmp_path), "/another/spool").read() == Marked()
    again.condemn(FILE)
    assert again.read().commits == CONDEMNED
    again.close()
    for path in tmp_path.glob("mark-*"):
        path.write_bytes(os.urandom(48))
    assert Mark(str(tmp_path), "/a/spool").read() == Marked()


def test_without_room_for_a_mark_there_is_none() -> None:
    mark = Mark("/nowhere", "/a/spool")
    mark.note(Marked(3, 2, 1, FILE))
    mark.remove()
    mark.close()
    assert Mark("/nowhere", "/a/spool").read() == Marked()


def _truncate(path: Path) -> None:
    os.truncate(path, 0)


def _remove_journal(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def _garble_journal(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(os.urandom(50_000))


@pytest.mark.parametrize("damage", [_truncate, _remove_journal, _garble_journal])
def test_a_spool_that_has_forgotten_commits_counts_and_sends_nothing_twice(damage: Callable[[Path], None]) -> None:
    """Its cursors are older than the rings' heads, and windows that were delivered are back: it must not be used."""
    worker = Worker(file_session(flush_interval_ms=600_000))
    first = _lead()
    path = Path(first.state_dir) / SPOOL_FILE
    _leave_open(first, worker, 3)
    _checkpoint(path)
    _deliver(first, worker, 4)
    assert total() == 7
    _leave_open(first, worker, 5)
    as_killed = {name: name.read_bytes() for name in (path, Path(f"{path}-wal"))}
    first.give_back()  # which takes the journal into the file
    for name, contents in as_killed.items():
        name.write_bytes(contents)
    damage(path)

    with collector() as second:
        _deliver(second, worker, 2)
        assert total() == 9
        assert counted("lost", second) == 5
        assert "lost are 0 windows and 5 more calls at most" in _heard(worker)[0]
        assert moved_aside(second)
        worker.leave()
    with collector() as third:
        late = Worker(file_session())
        turn_until(third, lambda: late.ring.words[HEARTBEAT], what="the new one to be met")
        assert _heard(late) == [], "it is told once"
        assert counted("lost", third) == 5
        late.leave()
    assert total() == 9
    assert len(delivered()) == 2


def test_a_spool_that_is_damaged_while_it_is_in_use_is_left_and_replaced_by_the_next_leader() -> None:
    worker = Worker(file_session(flush_interval_ms=600_000))
    first = _lead()
    path = Path(first.state_dir) / SPOOL_FILE
    _leave_open(first, worker, 3)
    _checkpoint(path)
    path.write_bytes(os.urandom(path.stat().st_size))
    worker.calls(4)
    with pytest.raises(LostLead, match=r"malformed|not a database"):
        turn_until(first, lambda: False)
    first.give_back()

    with collector() as second:
        _deliver(second, worker, 2)
        assert total() == 6, "the rings still had what was not committed"
        assert counted("lost", second) == 3
        worker.leave()


def test_a_spool_that_is_removed_while_it_is_in_use_is_counted_and_told() -> None:
    worker = Worker(file_session(flush_interval_ms=600_000))
    first = _lead()
    _leave_open(first, worker, 3)
    for path in Path(first.state_dir).iterdir():
        path.unlink()
    worker.calls(4)
    with pytest.raises(LostLead, match="removed"):
        turn_until(first, lambda: False)
    first.give_back()

    with collector() as second:
        _deliver(second, worker, 2)
        assert total() == 6
        assert counted("lost", second) == 3
        assert "removed by another program" in _heard(worker)[0]
        worker.leave()


def test_a_spool_with_nothing_in_it_leaves_no_mark() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        _deliver(leadership, worker, 2)
        assert list(Path(runtime()).glob("mark-*"))
        worker.leave()
        turn_until(leadership, lambda: not leadership.service.rings.sources, what="the ring to go")
    assert not list(Path(runtime()).glob("mark-*"))
