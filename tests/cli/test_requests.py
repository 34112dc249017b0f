"""The folder in which the command line asks the leader: many askers at once, killed ones, and what others put there."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recost_collector import desk
from recost_collector.request_box import STALE_S, Request, RequestBox
from tests.cli.hosts import runtime_files
from tests.collector.collecting import Worker, collector, file_session, runtime, turn_until
from tests.collector.lanes import ready

ID = "0123456789abcdef"


@pytest.fixture
def box() -> RequestBox:
    return RequestBox(runtime())


def _put(box: RequestBox, name: str, age_s: float = 0.0) -> Path:
    """A file in the folder of requests."""
    path = Path(box.path) / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch()
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def test_askers_that_come_and_go_disturb_neither_the_leader_nor_each_other(box: RequestBox) -> None:
    """Each takes the folder away behind itself, at any moment of the others."""

    def ask_and_go() -> None:
        for _ in range(1500):
            box.withdraw(box.post(Request("flush", 0.0)))

    with collector() as leadership, ThreadPoolExecutor(2) as pool:
        askers = [pool.submit(ask_and_go) for _ in range(2)]
        while not all(asker.done() for asker in askers):
            leadership.turn(time.monotonic())
        for asker in askers:
            asker.result()

    assert "requests" not in runtime_files()


def test_a_workers_flush_of_nothing_leaves_nothing_to_commit() -> None:
    """Or every turn to come would gather a commit, and the command line's flush find none made."""
    worker = Worker(file_session())
    with collector() as leadership:
        worker.call()
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the first flush")
        worker.ask_for_flush()
        for _ in range(3):
            leadership.turn(time.monotonic())

        assert leadership.service.is_committed
        worker.leave()


def test_what_killed_processes_left_goes_and_the_folder_with_it(box: RequestBox) -> None:
    for ending in (".ask", ".ask~", ".answer", ".answer~"):
        _put(box, ID + ending, STALE_S + 1)

    assert box.waiting() == []
    assert "requests" not in runtime_files()


def test_files_of_other_names_stay_and_hide_no_request(box: RequestBox) -> None:
    """A setting may name a directory in which ``requests`` is somebody's own."""
    theirs = {_put(box, f"report-{number}.ask", STALE_S + 1) for number in range(3000)}
    name = box.post(Request("flush"))

    assert box.waiting() == [name]
    box.withdraw(name)
    assert set(Path(box.path).iterdir()) == theirs


def test_a_directory_in_place_of_a_request_costs_no_descriptor(box: RequestBox) -> None:
    (Path(box.path) / f"{ID}.ask").mkdir(mode=0o700, parents=True)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        assert box.request(ID) is None

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_window_that_is_under_way_is_deleted_only_once_it_waits_again() -> None:
    driven = ready()
    sent, waits = driven.windows(2)
    assert driven.send() is sent
    request = Request("delete_waiting", destination="example.com")
    assert desk.picked(request, driven.lane) == [waits]
    driven.answer(500)
    assert desk.picked(request, driven.lane) == [sent, waits]
