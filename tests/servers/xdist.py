"""pytest-xdist: a test project whose ``conftest.py`` calls ``init()``, run by a real pytest with three workers."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

from tests.harness import wait_until
from tests.processes.support import Api
from tests.servers.cell import Cell, Counts
from tests.servers.folder import LIMIT_S, Folder

WORKERS = 3
TESTS = 30
CALLS = 4
LATENCY_S = 0.005

CONFTEST = """
import recost

recost.init()
"""

CALLING = f"""
import os
import pytest
from tests.servers.folder import call

@pytest.mark.parametrize("number", range({TESTS}))
def test_calls(number):
    call(os.environ["API_URL"], {CALLS})
"""

EXITING = f"""
import os
from tests.servers.folder import call

def test_ends_its_worker():
    call(os.environ["API_URL"], {CALLS})
    os._exit(3)
"""

WORKING = """
import os
from tests.servers.folder import work

def test_works_until_it_is_killed():
    work(os.environ["API_URL"])
"""


def run(path: Path, *, first: str, is_killed: bool = False) -> Counts:
    """``first`` is a test before the others. Of a worker that dies pytest-xdist reports the test and makes another."""
    with Folder(path) as folder, Api(LATENCY_S) as api:
        command = ["-m", "pytest", "-n", str(WORKERS), "-p", "no:cacheprovider", str(make_project(folder, first))]
        with folder.start(*command, API_URL=api.url) as process:
            if is_killed:
                (pid,) = folder.wait_for_workers(1)
                wait_until(lambda: api.calls >= CALLS * TESTS, LIMIT_S, "calls")
                os.kill(pid, signal.SIGKILL)
            folder.wait_for_end(process, 1 if first else 0)
        assert f"{TESTS} passed" in folder.output()
        assert ("crashed while running" in folder.output()) == bool(first)
        return folder.counts(api, int(is_killed))


def make_project(folder: Folder, first: str) -> Path:
    project = folder.path / "project"
    project.mkdir()
    files = {"pytest.ini": "[pytest]\n", "conftest.py": CONFTEST, "test_first.py": first, "test_second.py": CALLING}
    for name, text in files.items():
        (project / name).write_text(text)
    return project


CELLS = [
    Cell("pytest-xdist", "init() in conftest.py", "graceful", functools.partial(run, first=""), is_fast=True),
    Cell("pytest-xdist", "init() in conftest.py", "os._exit in a test", functools.partial(run, first=EXITING)),
    Cell("pytest-xdist", "init() in conftest.py", "SIGKILL", functools.partial(run, first=WORKING, is_killed=True)),
]
