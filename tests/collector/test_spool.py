"""What survives: corrupt, full, orphaned and rebooted spools, and windows that wait."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path

import pytest

from recost.event import CallEvent
from recost.ring.layout import HEAD
from recost.session import Destination, Session
from recost_collector.changes import Changes, DestinationState, StoredFrame
from recost_collector.leading import Leadership, lead
from recost_collector.open_window import OpenWindow
from recost_collector.spool import SPOOL_FILE, Fenced, Spool, SpoolTrouble
from tests.collector.collecting import (
    Worker,
    collector,
    delivered,
    file_session,
    runtime,
    spool_dir,
    total,
    turn_until,
)


def _frame(spool: Spool, destination: Destination, size: int = 10) -> StoredFrame:
    number = spool.next_frame_id()
    return StoredFrame(
        number, destination.id, "s", f"key-{number}", b"x" * size, "0.1.0", entries=1, closed_at_ms=5, size=size
    )


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    destination = Destination("file:///tmp/x.jsonl", "x")
    spool = Spool(str(tmp_path), "boot")
    frame = _frame(spool, destination)
    changes = Changes()
    changes.new_frames.append(frame)
    changes.sessions["s"] = Session(destination)
    changes.destinations[destination.id] = (destination, DestinationState(delivered=3))
    window = OpenWindow("s", Session(destination))
    window.add([CallEvent(1, 2, "GET", "https", "api.example.com", "/v1/x", 200, 3, 4)], now=0.0)
    delta = window.delta()
    assert delta is not None
    changes.deltas.append(("s", 1, delta))
    spool.commit(changes)
    spool.close()

    again = Spool(str(tmp_path), "boot")
    kept = again.load()

    assert again.epoch == 2
    assert kept.frames[0].key == frame.key
    assert kept.frames[0].body == b""
    assert again.body(frame.id) == b"x" * 10
    assert kept.sessions["s"] == Session(destination)
    assert kept.destinations[destination.id][1].delivered == 3
    assert kept.deltas == {"s": [(1, delta)]}
    assert again.next_frame_id() > frame.id, "numbers are never given twice"
    again.close()


def test_an_older_epoch_commits_nothing(tmp_path: Path) -> None:
    first = Spool(str(tmp_path), "boot")
    second = Spool(str(tmp_path), "boot")
    changes = Changes()
    changes.counters["count.x"] = 1

    with pytest.raises(Fenced):
        first.commit(changes)
    assert second.load().counters == {}
    first.close()
    second.close()


@pytest.mark.parametrize("damage", ["header", "middle", "schema"])
def test_a_corrupt_spool_is_moved_aside_and_a_new_one_started(tmp_path: Path, damage: str) -> None:
    destination = Destination("file:///tmp/x.jsonl", "x")
    spool = Spool(str(tmp_path), "boot")
    for _ in range(5):
        changes = Changes()
        changes.new_frames.extend(_frame(spool, destination, 4000) for _ in range(10))
        spool.commit(changes)
    spool.close()
    path = tmp_path / SPOOL_FILE
    if damage == "schema":
        with sqlite3.connect(path) as db:
            db.execute("UPDATE meta SET value = 'x' WHERE name = 'schema'")
        db.close()
    else:
        raw = bytearray(path.read_bytes())
        start = 0 if damage == "header" else 4096
        raw[start : start + 8192] = os.urandom(8192)
        path.write_bytes(raw)

    again = Spool(str(tmp_path), "boot")

    assert again.load().frames == []
    assert Path(again.moved_aside).exists()
    again.close()


def test_the_spool_of_a_newer_version_waits_for_one(tmp_path: Path) -> None:
    """It is not damaged: moved aside, what is in it would never be delivered."""
    Spool(str(tmp_path), "boot").close()
    with sqlite3.connect(tmp_path / SPOOL_FILE) as db:
        db.execute("UPDATE meta SET value = value + 1 WHERE name = 'schema'")
    db.close()
    before = sorted(os.listdir(tmp_path))

    with pytest.raises(SpoolTrouble, match="newer recost"):
        Spool(str(tmp_path), "boot")
    assert sorted(os.listdir(tmp_path)) == before


def test_a_full_spool_takes_nothing_of_a_transaction_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    destination = Destination("file:///tmp/x.jsonl", "x")
    spool = Spool(str(tmp_path), "boot")
    spool._db.execute("PRAGMA max_page_count = 60")
    changes = Changes()
    changes.new_frames.append(_frame(spool, destination, 400_000))
    changes.sessions["s"] = Session(destination)
    changes.destinations[destination.id] = (destination, DestinationState())

    with pytest.raises(SpoolTrouble, match="full"):
        spool.commit(changes)
    assert spool.load().frames == []
    spool.limit(1 << 20)
    spool.commit(changes)
    assert len(spool.load().frames) == 1
    spool.close()


def test_a_locked_spool_is_trouble_and_no_reason_to_give_up_what_is_in_it(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), "boot")
    other = sqlite3.connect(tmp_path / SPOOL_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    spool._db.execute("PRAGMA busy_timeout = 50")
    changes = Changes()
    changes.counters["count.x"] = 1

    with pytest.raises(SpoolTrouble):
        spool.commit(changes)
    other.execute("ROLLBACK")
    spool.commit(changes)
    assert spool.load().counters == {"count.x": 1}
    other.close()
    spool.close()


def _break_local_dir() -> Path:
    """A destination that cannot be written: its directory is a file."""
    folder = Path(os.environ["RECOST_LOCAL_DIR"])
    folder.rmdir()
    folder.write_text("in the way")
    return folder


def _mend_local_dir(folder: Path) -> None:
    folder.unlink()
    folder.mkdir()


def _blocked_session() -> Session:
    session = file_session()
    return Session(Destination(session.destination.url, "shop"))


def _leave_a_frame_behind(leadership: Leadership, worker: Worker) -> None:
    worker.calls(5)
    worker.leave()
    turn_until(leadership, lambda: not leadership.service.rings.sources, what="the ring to go")
    turn_until(leadership, lambda: not leadership.service.delivery.is_busy(), what="the attempt")


def test_frames_of_an_orphaned_spool_are_adopted_and_delivered_once() -> None:
    """The runtime directory died with the machine's memory, the state directory stayed."""
    session = _blocked_session()
    folder = _break_local_dir()
    with collector() as leadership:
        _leave_a_frame_behind(leadership, Worker(session))
        orphan = spool_dir(leadership)
    (Path(runtime()) / "spool-id").unlink()
    _mend_local_dir(folder)

    with collector() as leadership:
        assert spool_dir(leadership) != orphan
        turn_until(leadership, lambda: total() == 5, what="the orphan's frame")
        assert not orphan.exists()
    assert len(delivered()) == 1


def test_an_orphans_open_window_is_closed_and_delivered() -> None:
    session = file_session()
    worker = Worker(session)
    worker.calls(7)
    first = lead(runtime(), "thread", 1.0)
    assert first is not None
    while worker.ring.words[HEAD] != worker.writer.tail:
        first.turn(time.monotonic())
        first.wake.wait(0.01)
    first.give_back()  # as after a kill: the window is open in the spool
    worker.leave()
    for path in Path(runtime()).iterdir():
        path.unlink()
    orphan = next(Path(os.environ["RECOST_STATE_DIR"]).iterdir())
    with sqlite3.connect(orphan / SPOOL_FILE) as db:
        db.execute("UPDATE meta SET value = 'another boot' WHERE name = 'boot_id'")
    db.close()

    with collector() as leadership:
        turn_until(leadership, lambda: total() == 7, what="the orphan's window")


def test_a_spool_whose_rings_may_live_is_left_alone() -> None:
    """Its collector was killed a moment ago: the next leader of that runtime directory goes on with it."""
    worker = Worker(file_session())
    worker.calls(7)
    first = lead(runtime(), "thread", 1.0)
    assert first is not None
    while worker.ring.words[HEAD] != worker.writer.tail:
        first.turn(time.monotonic())
        first.wake.wait(0.01)
    first.give_back()
    own = (Path(runtime()) / "spool-id").read_text()
    other = Path(runtime() + "-other")
    os.environ["RECOST_RUNTIME_DIR"] = str(other)
    with collector() as leadership:
        leadership.turn(time.monotonic())
        assert (Path(os.environ["RECOST_STATE_DIR"]) / own / SPOOL_FILE).exists()
    for path in other.iterdir():
        path.unlink()
    other.rmdir()
    os.environ["RECOST_RUNTIME_DIR"] = runtime()[: -len("-other")]
    other.rmdir()

    with collector() as leadership:
        worker.leave()
        turn_until(leadership, lambda: total() == 7, what="the window")


def test_when_the_spool_is_full_the_oldest_frames_are_dropped_counted_and_told() -> None:
    session = _blocked_session()
    session = Session(session.destination, spool_max_bytes=2000, flush_interval_ms=1, max_batch_size=1)
    folder = _break_local_dir()
    worker = Worker(session)
    with collector() as leadership:
        worker.call()
        turn_until(leadership, lambda: session.destination.id in leadership.service.delivery.lanes, what="the lane")
        lane = leadership.service.delivery.lanes[session.destination.id]
        for made in range(1, 13):
            turn_until(
                leadership, lambda made=made: len(lane.frames) + lane.state.dropped == made, what=f"frame {made}"
            )
            if made < 12:
                worker.call()
        kept = len(lane.frames)
        assert lane.state.dropped > 0
        assert sum(frame.size for frame in lane.frames) <= 2000
        worker.leave()
    _mend_local_dir(folder)
    with collector() as leadership:
        turn_until(leadership, lambda: total() == kept, what="what was kept")


def test_windows_hold_times_that_json_readers_understand() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        worker.calls(2)
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the flush")
    (window,) = delivered()
    assert window["windowStart"].endswith("Z")
    assert window["windowStart"] <= window["windowEnd"]
    assert json.dumps(window)
    worker.leave()
