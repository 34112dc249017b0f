"""A published event is in exactly one window, whoever is killed and whenever."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from recost.leader import Leader, write_leader
from recost.ring.layout import HEAD
from recost_collector.drain import Rings
from recost_collector.finished import Finished
from recost_collector.leading import lead
from recost_collector.service import LostLead, Service
from recost_collector.spool import SPOOL_FILE, Fenced, Spool
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
from tests.collector.hasty import release_before_commit
from tests.harness import run_child

PARTS = (
    *("service.py", "spool.py", "drain.py", "telling.py", "aggregate.py", "open_window.py", "delivery.py"),
    *("lane.py", "ndjson.py", "lines.py"),
)
"""The files between reading a record and advancing the head, and around the append."""


class KillAt:
    """Traces lines of ``PARTS`` and ends the process with SIGKILL at the given one."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:
        if os.path.basename(frame.f_code.co_filename) not in PARTS:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def _collect(kill_at: int, *, early_release: bool = False) -> None:
    """Lead and collect until everything is delivered, or until the kill."""
    if early_release:
        release_before_commit()
    leadership = lead(runtime(), "thread", 5.0)
    assert leadership is not None
    if kill_at:
        sys.settrace(KillAt(kill_at))
    for _ in range(12):
        leadership.turn(time.monotonic())
        leadership.wake.wait(0.001)
    sys.settrace(None)
    leadership.finish(5.0)


def _kill_and_go_on(line: int) -> int:
    """Calls made in two portions; a collector that is killed at ``line`` and one that is not."""
    worker = Worker(file_session(max_batch_size=7))
    made = worker.calls(20)
    worker.ask_for_flush()
    assert run_child(lambda: _collect(line)) in (0, -signal.SIGKILL)
    made += worker.calls(10)
    worker.leave()
    assert run_child(lambda: _collect(0)) == 0
    return made


@pytest.mark.parametrize("line", [*range(1, 200, 13), *range(200, 1600, 57)])
def test_a_collector_killed_at_any_line_loses_nothing_and_doubles_nothing(line: int) -> None:
    made = _kill_and_go_on(line)

    assert total() == made
    assert os.listdir(runtime()).count("ring") == 0


def test_control_heads_that_move_before_the_commit_lose_calls() -> None:
    """The same kills with the order of the protocol reversed: calls are missing."""
    lost = 0
    for line in range(100, 1000, 100):
        worker = Worker(file_session(f"p{line}", max_batch_size=7))
        made = worker.calls(20)
        run_child(lambda line=line: _collect(line, early_release=True))
        worker.leave()
        assert run_child(lambda: _collect(0)) == 0
        lost += made - total(f"p{line}")

    assert lost > 0


@pytest.mark.parametrize(
    ("owner", "step", "done"),
    [(Service, "_after_commit", False), (Finished, "add", False), (Rings, "reap", True)],
)
def test_a_dead_workers_ring_counts_once_when_the_leader_is_killed_around_its_removal(
    owner: type, step: str, done: bool
) -> None:
    """Committed and still there; or gone, and the spool still has its cursor."""
    worker = Worker(file_session())
    made = worker.calls(9)
    worker.leave()

    assert run_child(lambda: _collect_until(owner, step, done=done)) == -signal.SIGKILL
    assert run_child(lambda: _collect(0)) == 0

    assert total() == made
    assert _in_spool("SELECT value FROM meta WHERE name = 'count.recorded'") == [(made,)]
    assert _in_spool("SELECT * FROM cursors") == []
    assert not [name for name in os.listdir(runtime()) if name.startswith("ring-")]


def test_a_ring_that_cannot_be_removed_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file stays for a while: it is neither read again nor forgotten before it is gone."""
    worker = Worker(file_session())
    made = worker.calls(9)
    worker.leave()
    with monkeypatch.context() as patched:
        patched.setattr(Finished, "_remove", lambda _self, _name: False)
        assert run_child(lambda: _collect(0)) == 0
    assert Path(worker.ring.path).exists()

    assert run_child(lambda: _collect(0)) == 0

    assert total() == made
    assert _in_spool("SELECT value FROM meta WHERE name = 'count.recorded'") == [(made,)]
    assert not Path(worker.ring.path).exists()


def test_a_leader_that_is_killed_while_it_says_who_leads_leaves_no_file_for_ever() -> None:
    def publish_half() -> None:
        os.replace = lambda _source, _target: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        write_leader(runtime(), Leader(os.getpid(), 0, 0, "0", "spawned", 1, ""))

    assert run_child(publish_half) == -signal.SIGKILL
    assert run_child(lambda: _collect(0)) == 0
    assert sorted(os.listdir(runtime())) == ["leader.json", "leader.lock", "spool-id"]


def test_the_head_moves_only_after_the_commit() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        worker.calls(5)
        turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="the head")
        assert total() == 0, "committed is not delivered: the window is open"
    assert total() == 5
    worker.leave()


def test_a_leader_whose_lock_file_was_removed_stops_without_writing() -> None:
    worker = Worker(file_session())
    first = lead(runtime(), "thread", 1.0)
    assert first is not None
    worker.calls(3)
    first.turn(time.monotonic())
    (Path(runtime()) / "leader.lock").unlink()

    with pytest.raises(LostLead):
        first.turn(time.monotonic())
    first.give_back()
    worker.leave()
    assert run_child(lambda: _collect(0)) == 0
    assert total() == 3


def test_of_two_leaders_the_older_epoch_is_fenced_in_its_transaction() -> None:
    """The spool is shared by force: whoever opened it last wins, the other's turn counts for nothing."""
    worker = Worker(file_session())
    first = lead(runtime(), "thread", 1.0)
    assert first is not None
    worker.calls(4)
    first.turn(time.monotonic())
    second = Spool(first.state_dir, "boot")
    worker.calls(4)
    with pytest.raises(LostLead) as caught:
        turn_until(first, lambda: False)
    assert isinstance(caught.value.__cause__, Fenced)
    second.close()
    first.give_back()
    worker.leave()
    assert run_child(lambda: _collect(0)) == 0
    assert total() == 8


def test_open_windows_survive_the_collector_with_exact_percentiles() -> None:
    session = file_session()
    worker = Worker(session)
    worker.calls(50)
    assert run_child(lambda: _lead_and_die(worker)) == -signal.SIGKILL
    worker.calls(50)
    worker.leave()
    assert run_child(lambda: _collect(0)) == 0

    (window,) = delivered()
    (metric,) = window["metrics"]
    assert metric["requestCount"] == 100
    assert metric["p95LatencyMs"] == 5.0
    assert metric["totalLatencyMs"] == 500.0


def _collect_until(owner: Any, step: str, *, done: bool) -> None:
    """Collect, and be killed right before the function ``step`` of ``owner``, or right after it."""
    original = getattr(owner, step)

    def stop(*arguments: object) -> None:
        if done:
            original(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, step, stop)
    _collect(0)


def _in_spool(query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(spool_dir() / SPOOL_FILE)) as db:
        return db.execute(query).fetchall()


def _lead_and_die(worker: Worker) -> None:
    """As soon as the worker's calls are committed, in a window that is open."""
    leadership = lead(runtime(), "thread", 1.0)
    assert leadership is not None
    turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="the commit")
    os.kill(os.getpid(), signal.SIGKILL)
