"""Where processes can share nothing each has a collector of its own, and every call arrives.

What Windows has not is taken away here, and what it forbids is forbidden; a real Windows was never met.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.standins import CloudStandIn
from tests.cloud.application import KEY
from tests.conftest import Place
from tests.harness import closed_port
from tests.processes.support import Api, delivered, program, run_program

CALLS = 5
PROGRAM = """
import glob, os, sys, time, urllib3, recost
api, ending = sys.argv[1:]
handle = recost.init()
pool = urllib3.PoolManager(retries=False)
for _ in range(5):
    assert pool.request("GET", api).status == 200
    assert ending != "flushes" or recost.flush(30)
if ending == "dispose":
    handle.dispose()
    handle = recost.init()
    assert pool.request("GET", api).status == 200
if ending == "kill":
    while not glob.glob(os.environ["RECOST_RUNTIME_DIR"] + "/*/leader.json"):  # amid its work, not amid its start
        time.sleep(0.001)
    os.kill(os.getpid(), 9)
pool.clear()
"""
ENTER = ("-m", "tests.sandboxes.enter", "windows", "--")


@pytest.fixture(autouse=True)
def nothing_stays(place: Place) -> Iterator[None]:
    """No file in the runtime directory, and no spool that holds nothing."""
    yield
    assert [path for path in place.runtime.rglob("*") if path.exists()] == []
    assert [path for path in place.state.rglob("*") if path.is_file()] == []


@pytest.fixture
def application(tmp_path: Path) -> Path:
    path = tmp_path / "application.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize(("ending", "calls"), [("exit", 5), ("dispose", 6)])
def test_what_was_called_is_in_the_file(api: Api, application: Path, ending: str, calls: int) -> None:
    assert run_program(*ENTER, application, api.url, ending) == ""
    assert delivered() == api.calls == calls


@pytest.mark.parametrize("ending", ["exit", "dispose"])
def test_what_was_called_is_in_the_cloud(api: Api, application: Path, ending: str) -> None:
    with CloudStandIn(keys={KEY}) as cloud:
        output = run_program(*ENTER, application, api.url, ending, code=0, **cloud_settings(cloud.url))
        assert output == ""
        assert cloud.calls("shop") == api.calls


def test_several_at_once_write_whole_lines_into_one_file(api: Api, application: Path) -> None:
    command = (*ENTER, application, api.url, "flushes")
    with program(*command) as one, program(*command) as other:
        assert [process.communicate()[0] for process in (one, other)] == ["", ""]
    assert delivered() == 2 * CALLS


def test_a_full_file_moves_aside(api: Api, application: Path, place: Place) -> None:
    assert run_program(*ENTER, application, api.url, "flushes", RECOST_LOCAL_FILE_MAX_BYTES="1024") == ""
    assert delivered("default.1") == 2, "two lines fit into it"
    assert delivered() == 3
    assert sorted(os.listdir(place.local)) == ["default.1.jsonl", "default.jsonl"]


def test_what_a_killed_one_left_the_next_one_delivers(api: Api, application: Path, place: Place) -> None:
    run_program(*ENTER, application, api.url, "kill", code=-9)
    (left,) = place.runtime.iterdir()
    an_hour_ago = time.time() - 3600
    os.utime(left, (an_hour_ago, an_hour_ago))
    run_program(*ENTER, application, api.url, "exit")
    assert delivered() == 2 * CALLS


def test_what_the_cloud_did_not_take_the_next_one_delivers(api: Api, application: Path) -> None:
    with closed_port() as port:
        settings = cloud_settings(f"http://127.0.0.1:{port}")
        run_program(*ENTER, application, api.url, "exit", code=0, **settings)
    with CloudStandIn(keys={KEY}, port=port) as cloud:
        run_program(*ENTER, application, api.url, "exit", code=0, **settings)
        assert cloud.calls("shop") == 2 * CALLS


def cloud_settings(url: str) -> dict[str, str]:
    return {"RECOST_API_KEY": KEY, "RECOST_PROJECT_ID": "shop", "RECOST_BASE_URL": url}
