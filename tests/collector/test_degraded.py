"""Where the disk does not take the state: it goes to memory, is said, and comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from recost.leader import read_leader
from recost.ring.notices import read_notices
from recost_collector import adoption
from recost_collector.spool import SPOOL_FILE
from tests.collector.collecting import Worker, collector, file_session, runtime, spool_dir, total, turn_until
from tests.harness import run_child


def test_a_state_directory_that_cannot_be_used_is_replaced_said_once_and_adopted_from_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recost.paths.LASTING_TEMP", str(tmp_path))
    state = Path(os.environ["RECOST_STATE_DIR"])
    state.rmdir()
    state.symlink_to("/nowhere/at/all")
    worker, other = Worker(file_session()), Worker(file_session())
    with collector() as leadership:
        worker.calls(4)
        turn_until(leadership, lambda: len(leadership.service.rings.sources) == 2, what="the rings")
        leader = read_leader(runtime())
        assert leader is not None
        assert str(state) in leader.trouble
        heard = [notice for ring in (worker.ring, other.ring) for notice in read_notices(ring, 0).notices]
        assert [notice.kind for notice in heard] == ["degraded"], "once, not once per worker"
        assert "RECOST_STATE_DIR" in heard[0].message
        degraded = spool_dir(leadership)
    assert total() == 4
    state.unlink()
    state.mkdir(mode=0o700)

    with collector() as leadership:
        worker.calls(3)
        turn_until(leadership, lambda: not degraded.exists(), what="the spool in memory to be adopted")
        assert spool_dir(leadership).parent == state
        worker.leave()
        other.leave()
        turn_until(leadership, lambda: total() == 7, what="the rest")


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_spool_in_memory_has_counted_is_counted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """Once, also when the one that adopts it is killed before it removes it."""
    monkeypatch.setattr("recost.paths.LASTING_TEMP", str(tmp_path))
    state = Path(os.environ["RECOST_STATE_DIR"])
    state.rmdir()
    state.symlink_to("/nowhere/at/all")
    _collect_calls_of_a_worker(4)
    state.unlink()
    state.mkdir(mode=0o700)

    if killed:
        assert run_child(_be_killed_before_the_removal) == -signal.SIGKILL
    _collect_calls_of_a_worker(3)

    assert total() == 7
    with contextlib.closing(sqlite3.connect(spool_dir() / SPOOL_FILE)) as db:
        assert db.execute("SELECT value FROM meta WHERE name = 'count.recorded'").fetchone() == (7,)


def _collect_calls_of_a_worker(calls: int) -> None:
    worker = Worker(file_session())
    worker.calls(calls)
    worker.leave()
    with collector() as leadership:
        turn_until(leadership, lambda: not Path(worker.ring.path).exists(), what="its ring to go")


def _be_killed_before_the_removal() -> None:
    vars(adoption)["remove"] = lambda _place: os.kill(os.getpid(), signal.SIGKILL)
    with collector():
        pass
