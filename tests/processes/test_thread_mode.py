"""``collector="thread"``: the collector is a thread of the program, and no process is started."""

from __future__ import annotations

import os
import threading

import pytest

import recost
from recost_collector import in_process
from tests.conftest import Place
from tests.harness import PATIENCE_S, run_child, start_child, wait_for_child, wait_until
from tests.processes.support import Api, Mail, call, collectors, delivered, leader, run_program, wait_for_leader

SCRIPT = """
import os, sys, time, urllib3, recost
recost.init(collector="thread")
for _ in range(12):
    urllib3.PoolManager().request("GET", sys.argv[1])
print(sorted(os.listdir(os.environ["RECOST_RUNTIME_DIR"])))
"""


def test_a_short_script_delivers_by_itself(api: Api):
    run_program("-c", SCRIPT, api.url)
    assert delivered() == api.calls == 12


def test_no_other_process_is_started(api: Api):
    def lone():
        recost.init(collector="thread")
        call(api.url, 3)
        found = wait_for_leader()
        assert (found.pid, found.kind) == (os.getpid(), "thread")
        assert not collectors()
        assert recost.flush(60)

    assert run_child(lone) == 0
    assert delivered() == 3


def test_the_threads_collector_counts_for_forked_children_too(api: Api):
    def parent():
        recost.init(collector="thread")
        call(api.url, 3)
        wait_for_leader()
        children = [start_child(lambda: (call(api.url, 5), os._exit(0))) for _ in range(3)]
        assert [wait_for_child(pid) for pid in children] == [0] * 3
        wait_until(lambda: recost.flush(60) and delivered() == 18, what="the children's calls")

    assert run_child(parent) == 0
    assert delivered() == 18


@pytest.mark.parametrize("moment", ["spool-id", "leader.json"])
def test_a_child_leads_when_the_parent_is_gone(api: Api, place: Place, moment: str):
    """The locks end with the parent, although the child was forked while they were held, or just being taken."""
    with Mail() as called, Mail() as go_on, Mail() as report:

        def child():
            call(api.url, 5)
            called.put()
            go_on.take()
            call(api.url, 4)
            wait_until(lambda: (found := leader()) and found.pid == os.getpid(), what="the child to lead")
            assert recost.flush(60)
            report.put(b"fine")

        def parent():
            recost.init(collector="thread")
            call(api.url, 3)
            while not (place.runtime / moment).exists():  # no pause: the moment is short
                pass
            start_child(child)
            called.take()

        assert run_child(parent) == 0
        go_on.put()
        assert report.take() == b"fine"
        assert delivered() == 12


def test_a_fork_waits_for_a_collector_that_has_only_just_begun(directory: str, monkeypatch: pytest.MonkeyPatch):
    """Amid its work the child could use no SQLite. Its thread may work before whoever started it goes on."""
    began, forking, done = threading.Event(), threading.Event(), list[str]()

    def work_for_longer_than_a_fork_takes(*_arguments: object) -> None:
        began.set()
        forking.wait()
        for _ in range(200):
            os.listdir("/dev")
        done.append("all")

    def parent():
        monkeypatch.setattr(in_process, "lead", work_for_longer_than_a_fork_takes)
        monkeypatch.setattr(in_process, "FORK_WAIT_S", PATIENCE_S)
        began_just_now = in_process.InProcess(directory)
        began.wait()
        forking.set()
        assert run_child(lambda: done.remove("all")) == 0
        began_just_now.stop(PATIENCE_S)

    assert run_child(parent) == 0
