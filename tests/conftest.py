"""Each test has folders of its own and leaves nothing behind; a test that does leave something fails.

All paths of one run share a random token, those of one of its processes also the part after it.  Runtime directories
are in shared memory, as in production, where there is some.  The process that starts the run makes the outermost
folders and removes them, so they go also when a worker of pytest-xdist crashed.
"""

from __future__ import annotations

import functools
import itertools
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import leaks
from tests.environment import is_foreign

LIMIT_S = 180
"""A test that takes longer hangs."""

TOKEN = pytest.StashKey[str]()
"""What all paths of the run share."""

MARK = pytest.StashKey[str]()
"""What all paths of this process of the run share: ``token/gw0/``."""

_numbers = itertools.count()

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # what a shell gives a job in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Place(NamedTuple):
    """The folders of one test, all new and empty."""

    runtime: Path
    state: Path
    local: Path
    home: Path


def roots(token: str) -> list[Path]:
    """Where runtime directories are, and where all else is: the same folder when there is no shared memory."""
    temp = Path(tempfile.gettempdir())
    memory = leaks.SHARED_MEMORY if os.access(leaks.SHARED_MEMORY, os.W_OK) else temp
    return [memory / token, temp / token]


def make_place(mark: str, name: str) -> Place:
    memory, disk = (root / name for root in roots(mark))
    place = Place(memory / "run", disk / "state", disk / "local", disk / "home")
    for folder in place:
        folder.mkdir(mode=0o700, parents=True)
    return place


def move_into(place: Place, environ: pytest.MonkeyPatch) -> None:
    """Make ``place`` what this process and its children see, and take away every other setting."""
    for name in filter(is_foreign, list(os.environ)):
        environ.delenv(name)
    environ.setenv("RECOST_RUNTIME_DIR", str(place.runtime))
    environ.setenv("RECOST_STATE_DIR", str(place.state))
    environ.setenv("RECOST_LOCAL_DIR", str(place.local))
    environ.setenv("HOME", str(place.home))


@pytest.fixture(scope="session", autouse=True)
def _session_place(request: pytest.FixtureRequest) -> Iterator[None]:
    """For what lives longer than a test: a fixture of a module or of the session."""
    mark = request.config.stash[MARK]
    before = leaks.look(mark)
    with pytest.MonkeyPatch.context() as environ:
        move_into(make_place(mark, "session"), environ)
        yield
    _fail_on(leaks.wait_for_nothing_new(mark, before), mark)


@pytest.fixture(autouse=True)
def place(request: pytest.FixtureRequest, _session_place: None) -> Iterator[Place]:
    """The folders of this test; the environment already names them. What the test leaves behind fails it."""
    mark = request.config.stash[MARK]
    began, before = leaks.now(), leaks.look_at_no_process()
    here = make_place(mark, str(next(_numbers)))
    with pytest.MonkeyPatch.context() as environ:
        move_into(here, environ)
        yield here
    left = leaks.wait_for_nothing_new(mark, before, since=began)
    for folder in {here.runtime.parent, here.home.parent}:
        shutil.rmtree(folder, ignore_errors=True)
    _fail_on(left, mark)


def _fail_on(left: leaks.Remains, mark: str) -> None:
    if any(left):
        leaks.end(left, mark)
        pytest.fail(f"left behind (processes are ended now):\n{left}", pytrace=False)


def end_in_order(process: int, number: int, _frame: object) -> None:
    """What Ctrl-C does, in ``process``. One that it has forked ends at once, as if there were no handler."""
    if os.getpid() == process:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)  # pytest-xdist's
    if not worker:
        signal.signal(signal.SIGTERM, functools.partial(end_in_order, os.getpid()))
    token = worker["token"] if worker else f"recost-test-{secrets.token_hex(4)}"
    config.stash[TOKEN] = token
    config.stash[MARK] = f"{token}/{worker['workerid'] if worker else 'one'}/"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:  # pytest-xdist's
    node.workerinput["token"] = node.config.stash[TOKEN]


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or TOKEN not in config.stash:
        return
    token = config.stash[TOKEN]
    leaks.end(leaks.look(token), token)  # only after a worker crashed is there anything
    for root in roots(token):
        shutil.rmtree(root, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A gate in which every test was skipped has shown nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if "CI" in os.environ and reporter and not (reporter.stats.keys() & {"passed", "failed", "error", "xfailed"}):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
