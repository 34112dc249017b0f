"""The local file end to end: rotated, deleted, and in a container whose folders are not the collector's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

import recost
from tests.conftest import Place
from tests.harness import END_S
from tests.processes.support import ROOT, Api, call, kill_leader, wait_for_leader, wait_until_idle, windows
from tests.unprivileged import as_root

PROGRAM = """
import sys, urllib3, recost
errors = []
handle = recost.init(collector="external", on_error=errors.append)
urllib3.PoolManager().request("GET", sys.argv[1])
assert handle.flush_blocking(20)
handle.dispose()  # which tells what there is to tell
print(handle.last_flush_status.status, *errors)
"""


def test_a_file_that_is_rotated_deleted_and_left_by_a_killed_collector_has_each_window_once(
    api: Api, place: Place
) -> None:
    file, aside = place.local / "shop.jsonl", place.local / "shop.1.jsonl"
    handle = recost.init(project_id="shop", local_file_max_bytes=1024, auto_shutdown_handlers=False)
    made: list[str] = []

    def window() -> None:
        made.append(f"/v1/{chr(97 + len(made))}")
        call(api.url + made[-1])
        assert handle.flush_blocking(20)

    for _ in range(4):
        window()
    assert aside.exists()
    assert file.stat().st_size <= 1024
    assert _endpoints() == made[-len(_endpoints()) :], "the newest, in order, each once"
    before = wait_for_leader()
    file.unlink()
    window()
    assert _endpoints()[-1] == made[-1]
    kill_leader()
    wait_for_leader(other_than=before)
    window()
    assert _endpoints()[-2:] == made[-2:]
    shutil.rmtree(place.local)
    window()
    assert _endpoints() == made[-1:]
    assert (file.stat().st_mode & 0o777, place.local.stat().st_mode & 0o777) == (0o600, 0o700)
    handle.dispose()
    wait_until_idle()


@pytest.fixture
def standalone() -> Iterator[None]:
    """``recost-collector run``, outside of every container."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collector")])}
    command = [sys.executable, "-m", "recost_collector", "run"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        wait_for_leader()
        yield
        process.terminate()
        assert process.wait(END_S) == 0


def _in_a_container(mount: str, url: str) -> str:
    """What the program prints in a mount namespace of its own, in which ``mount`` was run before."""
    command = ["unshare", "--mount", "sh", "-ec", f"{mount}\nexec {sys.executable} -c '{PROGRAM}' {url}"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collector")])}
    done = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=END_S)
    if done.returncode and ("unshare" in done.stderr or "mount:" in done.stderr):
        pytest.skip(f"this machine permits no mount namespace: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@as_root
@pytest.mark.usefixtures("standalone")
def test_a_collector_outside_of_the_worker_s_container_writes_only_into_the_very_folder_of_the_worker(
    api: Api, place: Place
) -> None:
    """The rings are in a volume that both have; the folder of the files once is, and once only has the same name."""
    assert _in_a_container("true", api.url).split() == ["ok"]
    assert len(windows()) == 1
    said = _in_a_container(f"mount -t tmpfs none {place.local}", api.url)
    assert f"error windows cannot be written to {place.local}" in said
    assert "the collector runs in another container" in said
    assert len(windows()) == 1, "nothing in the folder of that name out here"


def _endpoints() -> list[str]:
    return [metric["endpoint"] for window in windows("shop") for metric in window["metrics"]]
