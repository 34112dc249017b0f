"""Starts of collectors that come to nothing: how often, who is told, and that nobody waits for what they held."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import recost
from recost import _link, _runtime, _spawn, _starts
from recost._link import Link
from recost._spawn import SpawnLock
from recost.leader import LEADER_LOCK
from recost.notice import Notice
from recost.ring.files import RingFile
from recost.ring.layout import HEARTBEAT
from tests.faults.replacing import replace
from tests.harness import run_child, wait_until
from tests.processes.support import Api, call


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only interpreter there is writes a line to this file and exits with 1."""
    starts = tmp_path / "starts"
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho started >> {starts}\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return starts


def test_a_collector_that_dies_at_each_start_is_told_of_once_until_a_heartbeat(
    directory: str, ring: RingFile, dying: Path, monkeypatch: pytest.MonkeyPatch
):
    """And is started less and less often."""
    monkeypatch.setattr(_starts, "PAUSE_S", 0.4)
    monkeypatch.setattr(_starts, "MAX_PAUSE_S", 0.8)
    started_at: list[float] = []
    start = _spawn._posix_spawn

    def start_and_note(*arguments: object, **keywords: object) -> object:
        started_at.append(link._starts._began_at)  # the clock may go on before it gets here
        return start(*arguments, **keywords)

    monkeypatch.setattr(_spawn, "_posix_spawn", start_and_note)
    told: list[Notice] = []
    link = Link(directory, ring, may_start=True, report=told.append)

    def have_ended(starts: int) -> bool:
        link.look()
        return len(started_at) >= starts and link._starts._under_way is None

    wait_until(lambda: have_ended(4), what="four starts")
    first, second, third, fourth = started_at
    assert dying.read_text() == 4 * "started\n"
    assert [notice.kind for notice in told] == ["degraded"]
    assert "no collector can be started" in told[0].message
    assert "code 1" in told[0].message
    assert second - first >= 0.4
    assert third - second >= 0.8
    assert fourth - third >= 0.8
    ring.words[HEARTBEAT] += 1
    wait_until(lambda: have_ended(5), what="one more")
    assert len(told) == 2


def _collectors_that(end: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each collector that is started notes its pid in this file, and then does that."""
    pids, package = folder / "pids", folder / "recost_collector"
    package.mkdir()
    (package / "__init__.py").touch()
    note = f"with open({str(pids)!r}, 'a') as file:\n    file.write(f'{{os.getpid()}}\\n')"
    (package / "process.py").write_text(f"import os, time\n{note}\n{end}\n")
    monkeypatch.setattr(_spawn, "import_paths", lambda: [str(folder)])
    return pids


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each collector that is started notes its pid in this file and is killed before it frees the spawn lock."""
    return _collectors_that("os.kill(os.getpid(), 9)", tmp_path, monkeypatch)


def test_a_collector_that_is_killed_while_it_holds_the_spawn_lock_keeps_nobody_waiting(
    directory: str, ring: RingFile, killed: Path, monkeypatch: pytest.MonkeyPatch
):
    """Another worker may start the next one as soon as the first has looked, and so may the first after its pause."""
    monkeypatch.setattr(_starts, "START_S", 600.0)  # who waits for that to be over fails
    monkeypatch.setattr(_starts, "PAUSE_S", 600.0)
    told: list[Notice] = []
    link = Link(directory, ring, may_start=True, report=told.append)

    def is_told() -> bool:
        link.look()
        return bool(told)

    wait_until(is_told, what="the death to be noticed")
    assert "ended before it led" in told[0].message
    with SpawnLock(directory) as lock:
        assert lock.taken
    assert len(killed.read_text().splitlines()) == 1


@pytest.fixture
def leaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Copies of the spawn lock and of the collector's end of the pipe stay, as in a child of an unannounced fork."""
    spawn = _spawn._spawn
    with contextlib.ExitStack() as copies:

        def leak_and_spawn(lock_fd: int, pipe_fd: int, directory: str) -> int:
            for fd in (lock_fd, pipe_fd):
                copies.callback(os.close, os.dup(fd))
            return spawn(lock_fd, pipe_fd, directory)

        monkeypatch.setattr(_spawn, "_spawn", leak_and_spawn)
        yield


@pytest.mark.usefixtures("killed", "leaking")
def test_a_spawn_lock_that_a_fork_has_leaked_is_freed_as_soon_as_the_collector_is_gone(
    directory: str, ring: RingFile, monkeypatch: pytest.MonkeyPatch
):
    """Its pid tells, which the worker has got through the pipe."""
    for name in ("START_S", "LIVING_S", "PAUSE_S"):
        monkeypatch.setattr(_starts, name, 600.0)
    link = Link(directory, ring, may_start=True, report=lambda _notice: None)

    wait_until(lambda: _is_given_up(link), what="the start to be given up")
    with SpawnLock(directory) as lock:
        assert lock.taken


@pytest.mark.usefixtures("leaking")
def test_where_nothing_tells_of_the_collector_the_spawn_lock_is_free_after_a_while(
    directory: str, ring: RingFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The interpreter has ended without a word, and a fork's copy keeps the pipe open."""
    monkeypatch.setattr(_starts, "START_S", 1.0)
    for name in ("LIVING_S", "PAUSE_S"):
        monkeypatch.setattr(_starts, name, 600.0)
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    told: list[Notice] = []
    link = Link(directory, ring, may_start=True, report=told.append)

    wait_until(lambda: _is_given_up(link), what="the start to be given up")
    assert "has not shown itself" in told[0].message
    with SpawnLock(directory) as lock:
        assert lock.taken


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each collector that is started notes its pid in this file and then does not come to anything."""
    pids = _collectors_that("time.sleep(600)", tmp_path, monkeypatch)
    yield pids
    for pid in _noted(pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_no_second_collector_is_started_beside_one_that_lives_and_is_slow_to_begin(
    directory: str, ring: RingFile, slow: Path, monkeypatch: pytest.MonkeyPatch
):
    """As on a very busy machine, which would only get busier. That it takes long is told."""
    for name in ("LIVING_S", "PAUSE_S"):
        monkeypatch.setattr(_starts, name, 600.0)
    monkeypatch.setattr(_starts, "START_S", 0.1)
    told: list[Notice] = []
    link = Link(directory, ring, may_start=True, report=told.append)

    def is_told() -> bool:
        link.look()
        return bool(told) and bool(_noted(slow))

    wait_until(is_told, what="its slowness to be told")
    for _ in range(20):
        assert not _is_given_up(link)
    assert "has not shown itself" in told[0].message
    (pid,) = _noted(slow)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _is_given_up(link), what="its end to be noticed")
    assert len(told) == 1


def test_one_that_hangs_at_its_start_is_waited_for_within_bounds(
    directory: str, ring: RingFile, slow: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("START_S", "PAUSE_S"):
        monkeypatch.setattr(_starts, name, 600.0)
    link = Link(directory, ring, may_start=True, report=lambda _notice: None)
    wait_until(lambda: not _is_given_up(link) and _noted(slow), what="the start")

    for name in ("START_S", "LIVING_S"):
        monkeypatch.setattr(_starts, name, 0.0)
    wait_until(lambda: _is_given_up(link), what="the start to be given up")
    with SpawnLock(directory) as lock:
        assert lock.taken
    (pid,) = _noted(slow)
    os.kill(pid, 0)  # it is there


def _is_given_up(link: Link) -> bool:
    link.look()
    return link._starts._under_way is None


def _noted(pids: Path) -> list[int]:
    return [int(line) for line in pids.read_text().splitlines()] if pids.exists() else []


def test_what_starts_the_collector_is_reaped_within_the_look_that_started_it(api: Api):
    """A program that waits for whatever child ends must not find it later."""

    def work() -> None:
        replace(_starts, "MIDDLE_S", 600.0)
        replace(_link, "LOOK_S", 600.0)  # there is no second one
        recost.init(shutdown_flush_timeout_ms=0)
        call(api.url)
        runtime = _runtime.current
        assert runtime is not None
        assert runtime.link is not None
        link = runtime.link
        wait_until(lambda: link.looks, what="the first look")
        with link._looking:
            assert link.looks == 1
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)

    assert run_child(work) == 0


def test_on_error_hears_of_a_collector_that_dies_at_each_start(api: Api, dying: Path):
    def work() -> None:
        heard: list[Exception] = []
        recost.init(on_error=heard.append, shutdown_flush_timeout_ms=0)
        call(api.url)
        wait_until(lambda: heard, what="on_error")
        assert "no collector can be started" in str(heard[0])

    assert run_child(work) == 0
    assert dying.exists()


def test_a_look_that_fails_lets_go_of_the_spawn_lock_and_is_told_of(directory: str, ring: RingFile):
    os.symlink("elsewhere", os.path.join(directory, LEADER_LOCK))
    told: list[Notice] = []
    link = Link(directory, ring, may_start=True, report=told.append)
    before = len(os.listdir("/proc/self/fd"))
    link.look()
    link.look()

    assert len(os.listdir("/proc/self/fd")) == before
    assert [notice.kind for notice in told] == ["degraded"]
    with SpawnLock(directory) as lock:
        assert lock.taken
