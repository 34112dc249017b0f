"""Starts of collectors that come to nothing: how often, who is told, and that nobody waits for what they held."""

from __future__ import annotations

import os
import sys
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
from tests.harness import run_child, start_child, wait_for_child, wait_until
from tests.processes.support import Api, Mail, call


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


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each collector that is started notes its pid in this file and is killed before it frees the spawn lock."""
    pids = tmp_path / "pids"
    package = tmp_path / "recost_collector"
    package.mkdir()
    (package / "__init__.py").touch()
    death = (
        f"import os\nwith open({str(pids)!r}, 'a') as f:\n    f.write(f'{{os.getpid()}}\\n')\nos.kill(os.getpid(), 9)\n"
    )
    (package / "process.py").write_text(death)
    monkeypatch.setattr(_spawn, "import_paths", lambda: [str(tmp_path)])
    return pids


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
    assert "ended at once" in told[0].message
    with SpawnLock(directory) as lock:
        assert lock.taken
    assert len(killed.read_text().splitlines()) == 1


def test_a_spawn_lock_that_a_fork_has_leaked_is_freed_when_the_start_is_given_up(
    directory: str, ring: RingFile, killed: Path, monkeypatch: pytest.MonkeyPatch
):
    """The copies of a child that was forked meanwhile keep the pipe open, too: only the time tells then."""
    monkeypatch.setattr(_starts, "START_S", 1.0)
    monkeypatch.setattr(_starts, "PAUSE_S", 60.0)
    told: list[Notice] = []
    link = Link(directory, ring, may_start=True, report=told.append)
    start = _spawn._posix_spawn

    with Mail() as over:
        children: list[int] = []

        def start_amid_a_fork(*arguments: object, **keywords: object) -> object:
            children.append(start_child(over.wait))
            return start(*arguments, **keywords)

        monkeypatch.setattr(_spawn, "_posix_spawn", start_amid_a_fork)

        def is_told() -> bool:
            link.look()
            return bool(told)

        try:
            wait_until(is_told, what="the start to be given up")
            with SpawnLock(directory) as lock:
                assert lock.taken
        finally:
            over.put()
            assert [wait_for_child(pid) for pid in children] == [0]


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
