"""Where the disk does not take the state: it goes to memory, is said, and comes back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recost.leader import read_leader
from recost.ring.notices import read_notices
from tests.collector.collecting import Worker, collector, file_session, runtime, spool_dir, total, turn_until


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
