"""Spools that others left behind: taken over once, or left as they are."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recost.ring.layout import HEAD
from recost_collector import leading
from recost_collector.leading import Leadership, lead
from recost_collector.spool import SPOOL_FILE
from recost_collector.spool_place import spool_dirs
from tests.collector.collecting import (
    Worker,
    collector,
    delivered,
    file_session,
    kept,
    local_dir_in_the_way,
    runtime,
    total,
    turn_until,
)


def _leave_frames_behind(calls: int) -> Path:
    """A spool that belongs to nobody, with a frame for each call. Gives its directory."""
    session = file_session(flush_interval_ms=1, max_batch_size=1)
    with local_dir_in_the_way(), collector() as leadership:
        worker = Worker(session)
        for number in range(1, calls + 1):
            worker.call()
            turn_until(leadership, lambda number=number: leadership.service.delivery.windows == number, what="a frame")
        worker.leave()
        turn_until(leadership, lambda: not leadership.service.rings.sources, what="the ring to go")
        orphan = Path(leadership.state_dir)
    (Path(runtime()) / "spool-id").unlink()
    return orphan


def _execute(directory: Path, statement: str) -> None:
    with sqlite3.connect(directory / SPOOL_FILE) as db:
        db.execute(statement)
    db.close()


def test_frames_that_cannot_be_taken_out_of_the_orphan_are_not_delivered_until_they_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Delivered, they would be adopted and delivered once more at the next look."""
    monkeypatch.setattr(leading, "ORPHANS_S", 0.05)
    orphan = _leave_frames_behind(3)
    _execute(orphan, "CREATE TRIGGER full BEFORE DELETE ON frames BEGIN SELECT fails(); END")
    worker = Worker(file_session())
    with collector() as leadership:
        for _ in range(3):
            worker.call()
            worker.ask_for_flush()
            turn_until(leadership, worker.is_settled, what="a window of our own")
        assert total() == 3
        _execute(orphan, "DROP TRIGGER full")
        turn_until(leadership, lambda: not orphan.exists(), what="the adoption")
        turn_until(leadership, lambda: total() == 6, what="the orphan's calls")
        worker.leave()
    assert total() == 6
    assert len(delivered()) == 6


@pytest.mark.parametrize("damage", ["header", "middle"])
def test_a_damaged_orphan_is_left_as_it_is_and_looked_at_once(
    damage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leading, "ORPHANS_S", 0.01)
    orphan = _leave_frames_behind(3)
    raw = bytearray((orphan / SPOOL_FILE).read_bytes())
    start = 0 if damage == "header" else 8192
    raw[start : start + 4096] = os.urandom(4096)
    (orphan / SPOOL_FILE).write_bytes(raw)
    worker = Worker(file_session())
    with collector() as leadership:
        worker.call()
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled)
        worker.leave()
    assert (orphan / SPOOL_FILE).read_bytes() == raw
    assert total() == 1
    assert len([record for record in caplog.records if str(orphan) in record.getMessage()]) == 1


def test_our_own_spool_at_the_right_place_is_adopted_once_that_takes_one_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And without its cursors: we have read the rings further meanwhile."""
    monkeypatch.setattr(leading, "ORPHANS_S", 0.05)
    state = Path(os.environ["RECOST_STATE_DIR"])
    worker = Worker(file_session(flush_interval_ms=600_000))
    first = _lead()
    worker.calls(5)
    turn_until(first, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="the first calls")
    first.give_back()
    away = state.rename(f"{state}-away")
    state.write_text("in the way")
    monkeypatch.setattr("recost.paths.LASTING_TEMP", str(state))

    with collector() as second:
        assert Path(second.state_dir).parent == Path(runtime())
        worker.calls(4)
        turn_until(second, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="the next calls")
        state.unlink()
        away.rename(state)
        turn_until(second, lambda: total() == 5, what="the first window")
        assert _cursor(second, worker) == worker.writer.tail
        worker.calls(2)
        worker.leave()
        turn_until(second, lambda: total() == 11, what="all calls")
    assert total() == 11


def test_killed_before_the_heads_moved_on_a_disk_that_takes_nothing_more_the_cursors_still_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The spool can be read: where we were is known, although the next one must be in memory."""
    monkeypatch.setattr(leading, "ORPHANS_S", 0.05)
    worker = Worker(file_session(flush_interval_ms=600_000))
    first = _lead()
    state = Path(first.state_dir)
    _publish_and_be_killed(first, worker, 5)
    _execute(state, "CREATE TRIGGER full BEFORE INSERT ON meta BEGIN SELECT fails(); END")

    for _ in range(2):  # the second goes on from what the first has noted in memory
        leadership = _lead()
        assert Path(leadership.state_dir).parent == Path(runtime())
        _publish_and_be_killed(leadership, worker, 4)
    _execute(state, "DROP TRIGGER full")
    with collector() as last:
        worker.leave()
        turn_until(last, lambda: total() >= 13, what="all calls")
    assert total() == 13


def test_a_spool_whose_id_went_with_the_runtime_directory_is_known_by_its_rings() -> None:
    """Their owners have made the rings again; what was committed of them must be neither lost nor read once more."""
    worker = Worker(file_session(flush_interval_ms=600_000))
    first = _lead()
    _publish_and_be_killed(first, worker, 5)
    (Path(runtime()) / "spool-id").unlink()
    with collector() as second:
        assert second.state_dir != first.state_dir
        worker.calls(4)
        worker.leave()
        turn_until(second, lambda: total() >= 9, what="all calls")
    assert total() == 9
    assert not Path(first.state_dir).exists()


def _publish_and_be_killed(leadership: Leadership, worker: Worker, calls: int) -> None:
    """Right after a commit."""
    worker.calls(calls)
    head = worker.ring.words[HEAD]
    turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="a commit")
    leadership.give_back()
    worker.ring.words[HEAD] = head


def _lead() -> Leadership:
    leadership = lead(runtime(), "thread", 1.0)
    assert leadership is not None
    return leadership


def _cursor(leadership: Leadership, worker: Worker) -> int:
    return kept(leadership).cursors[worker.name].position


def test_a_place_that_comes_and_goes_ends_no_collector_that_looks_for_spools_there(tmp_path: Path) -> None:
    place = tmp_path / "state"

    def come_and_go() -> None:
        for _ in range(3000):
            place.mkdir(mode=0o700)
            place.rmdir()

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(come_and_go)
        while not going.done():
            assert spool_dirs(str(place)) == []
        going.result()
