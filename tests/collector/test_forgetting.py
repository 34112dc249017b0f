"""What the collector keeps of destinations that nobody uses any more: of the last ones, and of those only."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from recost.ring.layout import HEAD
from recost.session import Destination
from recost_collector import delivery
from recost_collector.changes import Changes, DestinationState, KeyState, StoredFrame
from recost_collector.exporters import INTENT
from recost_collector.lane import Lane
from recost_collector.leading import Leadership
from recost_collector.spool import SPOOL_FILE, Spool
from tests.collector.collecting import Worker, collector, counted, file_session, spool_dir, total, turn_until
from tests.collector.lanes import WALL_MS, ready

KEPT = 2


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MAX_UNUSED", KEPT)


def come_and_go(leadership: Leadership, *projects: str) -> None:
    """A worker for each, one after the other, whose calls are delivered."""
    for project in projects:
        worker = Worker(file_session(project))
        worker.calls(2)
        worker.leave()
        turn_until(leadership, lambda project=project: total(project) == 2, what=project)


def projects_in_spool() -> set[str]:
    with sqlite3.connect(spool_dir() / SPOOL_FILE) as db:
        rows = db.execute("SELECT destination FROM destinations").fetchall()
    db.close()
    return {row[0].rpartition(b".jsonl")[0].rpartition(b"/")[2].decode() for row in rows}


def intents(leadership: Leadership) -> int:
    return len(list(Path(leadership.state_dir).glob(f"*{INTENT}")))


def test_destinations_that_nobody_uses_are_forgotten_but_for_the_last_ones() -> None:
    """In memory, in the spool, and what the exporter noted down for them."""
    with collector() as leadership:
        come_and_go(leadership, "a", "b", "c", "d")
        turn_until(leadership, lambda: projects_in_spool() == {"c", "d"}, what="the others to be forgotten")
        assert len(leadership.service.delivery.lanes) == KEPT
        assert intents(leadership) == KEPT


def test_a_destination_with_workers_or_windows_is_never_forgotten() -> None:
    with collector() as leadership:
        idle = Worker(file_session("idle"))
        open_one = Worker(file_session("open"))
        open_one.calls(3)
        turn_until(leadership, lambda: open_one.ring.words[HEAD], what="the calls to be taken")
        come_and_go(leadership, "a", "b", "c")
        turn_until(leadership, lambda: projects_in_spool() == {"idle", "open", "b", "c"}, what="the others to go")
        idle.leave()
        open_one.leave()
    assert total("open") == 3


def test_a_worker_that_comes_back_finds_its_destination_again() -> None:
    with collector() as leadership:
        come_and_go(leadership, "a", "b", "c")
        turn_until(leadership, lambda: "a" not in projects_in_spool(), what="a to be forgotten")
        again = Worker(file_session("a"))
        again.calls(5)
        again.leave()
        turn_until(leadership, lambda: total("a") == 7, what="the calls of a")


def test_one_that_is_needed_again_before_it_is_forgotten_stays(tmp_path: Path) -> None:
    """Both are in one transaction."""
    destination = Destination("file:///tmp/x.jsonl", "x")
    spool = Spool(str(tmp_path), "boot")
    changes = Changes()
    changes.forgotten_destinations.append(destination.id)
    changes.destinations[destination.id] = (destination, DestinationState())
    spool.commit(changes)
    assert list(spool.load().destinations) == [destination.id]
    changes.destinations.clear()
    spool.commit(changes)
    assert not spool.load().destinations
    spool.close()


def test_the_spool_forgets_no_destination_of_a_frame_in_it(tmp_path: Path) -> None:
    """Whatever it is told: the next leader would find a frame that goes nowhere."""
    destination = Destination("file:///tmp/x.jsonl", "x")
    spool = Spool(str(tmp_path), "boot")
    changes = Changes()
    changes.destinations[destination.id] = (destination, DestinationState())
    changes.new_frames.append(StoredFrame(spool.next_frame_id(), destination.id, "s", "key", b"x", "1", 1, 5, 1))
    spool.commit(changes)
    forgetting = Changes()
    forgetting.forgotten_destinations.append(destination.id)
    spool.commit(forgetting)
    assert spool.knows(destination.id)
    spool.close()


def test_what_a_forgotten_destination_had_dropped_is_counted_on() -> None:
    with collector() as leadership:
        come_and_go(leadership, "a", "b")
        lane = next(lane for lane in leadership.service.delivery.lanes.values() if lane.destination.project_id == "a")
        lane.state.dropped, lane.dirty = 5, True
        come_and_go(leadership, "c")
        turn_until(leadership, lambda: "a" not in projects_in_spool(), what="a to be forgotten")
    with collector() as leadership:
        assert counted("dropped_windows", leadership) == 5
        lane = next(iter(leadership.service.delivery.lanes.values()))
        lane.state.dropped, lane.dirty = 2, True
        lane.state.delivered_at_ms = 1
        come_and_go(leadership, "d")
        turn_until(leadership, lambda: counted("dropped_windows", leadership) == 7, what="both")


def test_what_an_exporter_noted_down_goes_at_the_next_start_when_a_crash_left_it() -> None:
    with collector() as leadership:
        come_and_go(leadership, "a")
        left = Path(leadership.state_dir) / f"{'0' * 20}{INTENT}"
        left.write_text("{}")
    with collector() as leadership:
        assert not left.exists()
        assert intents(leadership) == 1


def test_keys_in_trouble_are_remembered_longest_and_then_the_destinations_used_last() -> None:
    def lane(name: str, state: DestinationState) -> tuple[str, Lane]:
        return name, Lane(Destination(f"https://x.example.com/{name}"), state, lambda _: ready().session)

    lanes = dict(
        [
            lane("suspended", DestinationState({"key": KeyState(suspended=True)})),
            lane("new", DestinationState()),
            lane("failing", DestinationState(delivered_at_ms=5, last_error_at_ms=30)),
            lane("limited", DestinationState({"key": KeyState(wait_until_ms=WALL_MS + 1)}, delivered_at_ms=8)),
            lane("was limited", DestinationState({"key": KeyState(wait_until_ms=WALL_MS - 1)}, delivered_at_ms=20)),
            lane("delivered", DestinationState(delivered_at_ms=10)),
        ]
    )
    order = sorted(lanes, key=lambda name: lanes[name].worth_remembering(WALL_MS))
    assert order == ["new", "delivered", "was limited", "failing", "suspended", "limited"]
