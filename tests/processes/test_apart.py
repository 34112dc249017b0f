"""What must stay apart: runtime directories, projects, environments, users."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import recost
from recost.origins import boot_id
from recost.paths import runtime_dir, runtime_dirs
from tests.harness import run_child, start_child, wait_for_child
from tests.processes.support import (
    Api,
    Mail,
    call,
    counts,
    log_lines,
    rings,
    wait_for_leader,
    wait_until_delivered,
    wait_until_idle,
    windows,
)
from tests.unprivileged import NOBODY, as_nobody, as_root, folder_of_all

reachable = pytest.fixture(folder_of_all)


def test_two_projects_share_a_collector_and_no_file(api: Api):
    def work(project: str):
        recost.init(project_id=project)
        call(f"{api.url}/{project}", 6)
        assert recost.flush(60)

    pids = [start_child(lambda p=project: work(p)) for project in ("shop", "blog", "shop")]  # type: ignore[misc]
    assert [wait_for_child(pid) for pid in pids] == [0, 0, 0]
    wait_until_idle()
    assert counts("shop") == {"/shop": 12}
    assert counts("blog") == {"/blog": 6}
    assert len(log_lines(" leads: ")) == 1, log_lines("")


def test_two_environments_share_a_file_and_no_window(api: Api):
    def work(environment: str):
        recost.init(environment=environment)
        call(f"{api.url}/{environment}", 6)
        assert recost.flush(60)

    pids = [start_child(lambda e=name: work(e)) for name in ("staging", "production")]  # type: ignore[misc]
    assert [wait_for_child(pid) for pid in pids] == [0, 0]
    wait_until_delivered(12)
    found = {(window["environment"], metric["endpoint"]) for window in windows() for metric in window["metrics"]}
    assert found == {("staging", "/staging"), ("production", "/production")}


def test_two_runtime_directories_have_a_collector_and_a_spool_each(api: Api, tmp_path: Path, place):
    """On one state directory: two containers with one home volume. Their windows meet in one file, whole."""
    directories = [place.runtime / "one", place.runtime / "two"]
    with Mail() as report, Mail() as leave:

        def work(directory: Path):
            os.environ["RECOST_RUNTIME_DIR"] = str(directory)
            recost.init()
            call(api.url, 6)
            report.put(json.dumps([wait_for_leader().pid, wait_for_leader().spool]).encode() + b"\n")
            leave.wait()

        pids = [start_child(lambda d=directory: work(d)) for directory in directories]  # type: ignore[misc]
        lines = report.take_lines(2)
        leave.put()
        assert [wait_for_child(pid) for pid in pids] == [0, 0]
    leaders = [json.loads(line) for line in lines]
    assert leaders[0][0] != leaders[1][0]
    assert leaders[0][1] != leaders[1][1]
    wait_until_delivered(12)


@as_root
def test_two_users_stay_apart_even_where_one_runtime_directory_is_meant_for_both(api: Api, reachable: Path):
    """The second cannot write the first's directory, so it has rings, a collector and files of its own.

    Their collectors are threads, and the second is forked when all is imported: the interpreter may lie where only
    the first can read it.
    """

    def second():
        for name in ("STATE", "LOCAL"):
            os.environ[f"RECOST_{name}_DIR"] = str(reachable / name)
        os.environ["HOME"] = str(reachable)
        own = Path(runtime_dirs()[1])
        try:
            recost.init(collector="thread", project_id="theirs")
            call(f"{api.url}/theirs", 5)
            assert recost.flush(60)
            assert counts("theirs") == {"/theirs": 5}
            assert own.stat().st_uid == NOBODY
        finally:
            shutil.rmtree(own)

    def first():
        recost.init(collector="thread", project_id="ours")
        call(f"{api.url}/ours", 7)
        assert recost.flush(60)
        as_nobody(second)
        call(f"{api.url}/ours", 2)
        assert recost.flush(60)

    reachable.chmod(0o777)
    assert run_child(first) == 0
    assert counts("ours") == {"/ours": 9}
    assert not windows("theirs")
    assert {path.owner() for path in [Path(runtime_dir()), *Path(runtime_dir()).iterdir()]} == {Path.home().owner()}


@as_root
def test_a_server_that_dropped_its_privileges_before_its_first_call_has_one_ring(api: Api, reachable: Path):
    """Made by who it is now, and where that one may write."""

    def server():
        recost.init(collector="external", shutdown_flush_timeout_ms=0)
        boot_id()  # reads text, for which Python loads a module that may lie where only root can read it
        os.environ["RECOST_RUNTIME_DIR"] = str(reachable / "run")
        os.setuid(NOBODY)
        call(api.url, 2)  # the first finds out who it is, the second needs a ring
        assert [ring.stat().st_uid for ring in rings()] == [NOBODY]

    call(api.url)
    reachable.chmod(0o777)
    assert run_child(server) == 0
