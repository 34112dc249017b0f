"""A leader whose lock file is gone, while it works, is stopped or waits for its next attempt."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from recost.leader import WAKE, LeaderKind
from recost_collector.leading import Leadership, lead
from recost_collector.service import LostLead
from recost_collector.spool import SPOOL_FILE, SpoolTrouble
from recost_collector.spool_place import open_spool
from tests.collector.collecting import Worker, file_session, runtime, spool_dir, turn_until
from tests.harness import start_child, wait_for_child, wait_until
from tests.processes.support import Mail


def _lead(kind: LeaderKind = "spawned") -> Leadership:
    leadership = lead(runtime(), kind, 1.0)
    assert leadership is not None
    return leadership


def _delete_lock() -> None:
    (Path(runtime()) / "leader.lock").unlink()


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_one_that_is_stopped_is_ended_and_its_successor_goes_on_in_the_same_spool() -> None:
    """In another spool it would count again what the stopped one has committed and not released."""

    def lead_and_stop() -> None:
        _lead()
        os.kill(os.getpid(), signal.SIGSTOP)

    pid = start_child(lead_and_stop)
    wait_until(lambda: _is_stopped(pid), what="it to stop")
    _delete_lock()
    place, spool = open_spool(runtime(), 0.2)

    assert (place.state_dir, spool.epoch) == (os.environ["RECOST_STATE_DIR"], 2)
    assert wait_for_child(pid) == -signal.SIGKILL
    spool.close()
    place.release()


def test_one_that_is_a_thread_of_an_application_is_not_ended_and_has_no_successor_while_it_holds_the_spool() -> None:
    with Mail() as leads, Mail() as over:

        def lead_and_stay() -> None:
            leadership = _lead("thread")
            leads.put()
            over.wait()
            leadership.give_back()

        pid = start_child(lead_and_stay)
        leads.wait()
        _delete_lock()
        with pytest.raises(SpoolTrouble, match=str(pid)):
            open_spool(runtime(), 0.2)
        over.put()
        assert wait_for_child(pid) == 0
    _lead().give_back()


def test_one_that_leaves_does_not_take_its_successors_pipe_along() -> None:
    first = _lead()
    _delete_lock()
    first._place.release()  # else the second would wait for it
    second = _lead()
    first.give_back()

    assert (Path(runtime()) / WAKE).exists()
    second.give_back()
    assert not (Path(runtime()) / WAKE).exists()


def test_a_frame_that_a_successor_has_delivered_is_not_sent_as_an_empty_one() -> None:
    local = Path(os.environ["RECOST_LOCAL_DIR"])
    worker = Worker(file_session(max_retries=0))
    first = _lead()
    shutil.rmtree(local)
    local.touch()
    worker.calls(3)
    worker.ask_for_flush()
    turn_until(first, worker.is_settled, what="the window to be put back")
    local.unlink()
    with contextlib.closing(sqlite3.connect(spool_dir(first) / SPOOL_FILE)) as db, db:
        db.execute("DELETE FROM frames")
    worker.ask_for_flush()
    with pytest.raises(LostLead):
        turn_until(first, lambda: False)
    first.give_back()
    worker.leave()

    assert not local.exists()
