"""A worker's view of the collector where the worker's own world is odd: signals, sandboxes, gevent, no interpreter."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

import recost
from recost import _link, _runtime, _spawn, _starts
from recost._link import Link
from recost._spawn import SpawnLock
from recost._troubles import Troubles
from recost.leader import HANDOVER_SIGNAL, LEADER_LOCK, Leader, open_lock, show_life, try_lock, write_leader
from recost.notice import Notice
from recost.paths import make_private_dir, pid_namespace, process_start
from recost.ring.files import RingFile, create_ring
from recost.ring.layout import HEARTBEAT, MIN_CAPACITY
from recost.ring.notices import read_notices
from tests.harness import run_child, start_child, wait_for_child, wait_until
from tests.processes.support import Api, Mail, call, program

GEVENT_PROGRAM = """
from gevent import monkey; monkey.patch_all()
import gc, sys, gevent, recost
from gevent.hub import Hub
from recost import _runtime
from tests.processes.support import call
recost.init(flush_interval_ms=200)
call(sys.argv[1])
assert recost.flush()
link = _runtime.current.link
looks = link.looks
with gevent.Timeout(10):
    while link._starts._under_way is not None or link.looks < looks + 3:
        gevent.sleep(0.01)
hubs = [thing for thing in gc.get_objects() if isinstance(thing, Hub)]
assert len(hubs) == 1, hubs
"""


@pytest.fixture
def directory() -> str:
    path = os.environ["RECOST_RUNTIME_DIR"]
    make_private_dir(path)
    return path


@pytest.fixture
def ring(directory: str) -> Iterator[RingFile]:
    made = create_ring(directory, b"", MIN_CAPACITY)
    yield made
    os.unlink(made.path)
    made.close()


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only interpreter there is notes the time in this file and exits with 1."""
    times = tmp_path / "starts"
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\ndate +%s.%N >> {times}\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return times


def test_a_signal_handler_that_disposes_while_its_thread_hears_does_not_hang(directory: str, ring: RingFile) -> None:
    link = Link(directory, ring, may_start=False, report=lambda _notice: None)

    def interrupt(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code is read_notices.__code__:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGUSR1)

    def work() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: link.hear())  # what dispose() does
        signal.alarm(30)
        sys.setprofile(interrupt)
        link.hear()
        assert sys.getprofile() is None, "nothing was interrupted"

    assert run_child(work) == 0


def test_the_watcher_takes_no_signal_that_the_program_waits_for(api: Api):
    def work() -> None:
        recost.init(collector="external", shutdown_flush_timeout_ms=0)
        call(api.url)
        wait_until(lambda: _link_of_this_process().looks > 0, what="the watcher")
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)
        found = signal.sigtimedwait({signal.SIGUSR1}, 5)
        assert found is not None

    assert run_child(work) == 0


def test_a_collector_that_dies_at_each_start_is_told_of_once_until_a_heartbeat(
    directory: str, ring: RingFile, dying: Path, monkeypatch: pytest.MonkeyPatch
):
    """And is started less and less often."""
    monkeypatch.setattr(_starts, "PAUSE_S", 0.4)
    monkeypatch.setattr(_starts, "MAX_PAUSE_S", 0.8)
    told: list[Notice] = []
    link = Link(directory, ring, may_start=True, report=told.append)

    def have_ended(starts: int) -> bool:
        link.look()
        return len(_times(dying)) >= starts and link._starts._under_way is None

    wait_until(lambda: have_ended(4), what="four starts")
    first, second, third, fourth = _times(dying)
    assert [notice.kind for notice in told] == ["degraded"]
    assert "no collector can be started" in told[0].message
    assert "code 1" in told[0].message
    # from posix_spawn to posix_spawn, as the script sees it: give or take what it takes to come to its first line
    assert second - first > 0.2
    assert third - second > 0.6
    assert fourth - third > 0.6
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
    directory: str, ring: RingFile, killed: Path
):
    """Another worker may start the next one as soon as the first has looked, and so may the first after its pause."""
    told: list[Notice] = []
    link = Link(directory, ring, may_start=True, report=told.append)

    def is_told() -> bool:
        link.look()
        return bool(told)

    began_at = time.monotonic()
    wait_until(is_told, _starts.START_S / 2, "the death to be noticed")
    assert time.monotonic() - began_at < _starts.START_S / 2
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


def test_on_error_hears_of_a_collector_that_dies_at_each_start(api: Api, dying: Path):
    def work() -> None:
        heard: list[Exception] = []
        recost.init(on_error=heard.append, shutdown_flush_timeout_ms=0)
        call(api.url)
        wait_until(lambda: heard, what="on_error")
        assert "no collector can be started" in str(heard[0])

    assert run_child(work) == 0
    assert _times(dying)


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


def test_a_hung_leader_is_ended_where_a_sandbox_refuses_pidfds(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    with Mail() as never:
        for name, place in (("pidfd_send_signal", signal), ("pidfd_open", os)):
            monkeypatch.setattr(place, name, refuse, raising=False)
            pid = start_child(never.wait)
            _link._kill(pid, process_start(pid) + 1)
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), "another process with that number"
            _link._kill(pid, process_start(pid))
            assert wait_for_child(pid) == -signal.SIGKILL
            _link._kill(pid, 1)  # it is gone


def test_a_look_on_a_request_waits_for_no_leader_to_make_room(
    directory: str, ring: RingFile, monkeypatch: pytest.MonkeyPatch
):
    with Mail() as leads, Mail() as asked, Mail() as over:

        def lead_and_stay() -> None:
            signal.signal(HANDOVER_SIGNAL, lambda *_: asked.put())
            assert try_lock(open_lock(directory, LEADER_LOCK))
            leads.put()
            over.wait()

        pid = start_child(lead_and_stay)
        leads.wait()
        write_leader(directory, Leader(pid, process_start(pid), pid_namespace(), "0", "spawned", 1, ""))
        link = Link(directory, ring, may_start=True, report=lambda _: None)
        ring.words[HEARTBEAT] += 1
        began_at = time.monotonic()
        link.look(may_wait=False)
        assert time.monotonic() - began_at < _link.HANDOVER_S / 2
        assert not asked.is_there
        monkeypatch.setattr(_link, "HANDOVER_S", 0.1)
        ring.words[HEARTBEAT] += 1
        link.look()
        asked.wait()
        over.put()
        assert wait_for_child(pid) == 0


@pytest.mark.parametrize("turns", [True, False])
def test_a_silent_leader_is_ended_only_when_it_shows_no_life_elsewhere(
    directory: str, ring: RingFile, monkeypatch: pytest.MonkeyPatch, *, turns: bool
):
    """One that turns and does not read our ring serves others: it must not be killed every ten seconds."""
    monkeypatch.setattr(_link, "LOOK_S", 0.01)
    monkeypatch.setattr(_link, "HANDOVER_S", 0.1)
    told: list[Notice] = []
    with Mail() as leads, Mail() as over:

        def lead() -> None:
            assert try_lock(open_lock(directory, LEADER_LOCK))
            leads.put()
            over.wait()

        pid = start_child(lead)
        leads.wait()
        write_leader(directory, Leader(pid, process_start(pid), pid_namespace(), "0", "spawned", 1, ""))
        link = Link(directory, ring, may_start=True, report=told.append)
        for _ in range(3 * _link.SILENT_LOOKS):
            if turns:
                show_life(directory)
            link.look()
            time.sleep(_link.LOOK_S)
        over.put()
        assert wait_for_child(pid) == (0 if turns else -signal.SIGKILL)
        if turns:
            assert [notice.message.partition(",")[0] for notice in told] == [
                "a collector runs but does not read the ring of this process"
            ]


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), ValueError()])
def test_what_on_error_raises_ends_no_thread_of_ours(raised: BaseException):
    heard: list[Exception] = []

    def on_error(error: Exception) -> None:
        heard.append(error)
        raise raised

    troubles = Troubles(on_error)
    troubles.later(ValueError("one"))
    troubles.later(ValueError("two"))
    troubles.tell()
    assert [str(error) for error in heard] == ["one", "two"]


def test_under_gevent_the_watcher_starts_and_reaps_without_a_hub_of_its_own(api: Api):
    pytest.importorskip("gevent")
    with program("-W", "ignore::DeprecationWarning", "-c", GEVENT_PROGRAM, api.url) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


def _times(file: Path) -> list[float]:
    return [float(line) for line in file.read_text().splitlines()] if file.exists() else []


def _link_of_this_process() -> Link:
    runtime = _runtime.current
    assert runtime is not None
    assert runtime.link is not None
    return runtime.link
