"""A worker's view of the collector where the worker's own world is odd: signals, sandboxes, gevent, no interpreter."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

import pytest

import recost
from recost import _killing, _link, _runtime
from recost._link import Link
from recost._troubles import Troubles
from recost.leader import (
    HANDOVER_SIGNAL,
    LEADER_LOCK,
    Leader,
    open_lock,
    show_life,
    sign_of_life,
    write_leader,
)
from recost.notice import Notice
from recost.origins import pid_namespace, process_start
from recost.ring.files import RingFile
from recost.ring.layout import HEARTBEAT
from recost.ring.notices import read_notices
from recost.system import try_lock
from tests.harness import END_S, PATIENCE_S, run_child, start_child, wait_for_child, wait_until
from tests.processes.support import Api, Mail, call, kill_leader, leader, program

GEVENT_PROGRAM = """
from gevent import monkey; monkey.patch_all()
import gc, sys, gevent, recost
from gevent.hub import Hub
from recost import _runtime
from tests.processes.support import call
recost.init(flush_interval_ms=200)
call(sys.argv[1])
assert recost.flush(60)
link = _runtime.current.link
looks = link.looks
with gevent.Timeout(60):
    while link._starts._under_way is not None or link.looks < looks + 3:
        gevent.sleep(0.01)
hubs = [thing for thing in gc.get_objects() if isinstance(thing, Hub)]
assert len(hubs) == 1, hubs
"""


def test_a_signal_handler_that_disposes_while_its_thread_hears_does_not_hang(directory: str, ring: RingFile) -> None:
    link = Link(directory, ring, may_start=False, report=lambda _notice: None)

    def interrupt(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code is read_notices.__code__:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGUSR1)

    def work() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: link.hear())  # what dispose() does
        signal.alarm(60)
        sys.setprofile(interrupt)
        link.hear()
        assert sys.getprofile() is None, "nothing was interrupted"

    assert run_child(work) == 0


@pytest.mark.parametrize("timeout_s", [math.nan, -1.0, 0.0])
def test_a_flush_without_time_returns_at_once(directory: str, ring: RingFile, timeout_s: float) -> None:
    """And one whose time is no number does not wait for ever."""

    def work() -> None:
        signal.alarm(60)
        link = Link(directory, ring, may_start=False, report=lambda _notice: None)
        assert not link.flush(8, timeout_s)

    assert run_child(work) == 0


def test_the_watcher_takes_no_signal_that_the_program_waits_for(api: Api):
    def work() -> None:
        recost.init(collector="external", shutdown_flush_timeout_ms=0)
        call(api.url)
        wait_until(lambda: _link_of_this_process().looks > 0, what="the watcher")
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)
        found = signal.sigtimedwait({signal.SIGUSR1}, PATIENCE_S)
        assert found is not None

    assert run_child(work) == 0


def test_a_hung_leader_is_ended_where_a_sandbox_refuses_pidfds(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    with Mail() as never:
        for name, place in (("pidfd_send_signal", signal), ("pidfd_open", os)):
            monkeypatch.setattr(place, name, refuse, raising=False)
            pid = start_child(never.wait)
            _killing.kill(pid, process_start(pid) + 1)
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), "another process with that number"
            _killing.kill(pid, process_start(pid))
            assert wait_for_child(pid) == -signal.SIGKILL
            _killing.kill(pid, 1)  # it is gone


def test_a_look_on_a_request_waits_for_no_leader_to_make_room(
    directory: str, ring: RingFile, monkeypatch: pytest.MonkeyPatch
):
    with Mail() as asked, Mail() as over:
        pid = _start_leader(directory, over, asked.put)
        link = Link(directory, ring, may_start=True, report=lambda _: None)
        ring.words[HEARTBEAT] += 1
        monkeypatch.setattr(_link, "HANDOVER_S", 600.0)
        link.look(may_wait=False)  # who waits here hangs
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
    monkeypatch.setattr(_link, "LOOK_S", 0.0)  # any number of looks counts, however fast they come
    monkeypatch.setattr(_link, "HANDOVER_S", 0.1)
    told: list[Notice] = []
    with Mail() as over:
        pid = _start_leader(directory, over)
        link = Link(directory, ring, may_start=True, report=told.append)
        for _ in range(3 * _link.SILENT_LOOKS):
            if turns:
                _show_life(directory)
            link.look()
        over.put()
        assert wait_for_child(pid) == (0 if turns else -signal.SIGKILL)
        if not turns:
            monkeypatch.setattr(_link, "LOOK_S", 1.0)  # its successor, which was started, is not hung
            wait_until(lambda: _leader_after_a_look(link), what="its successor")
            kill_leader()  # it would stay for a while, and it cannot read this ring, so the link would wait for it
            wait_until(lambda: _has_started(link), what="the end of its successor's start")
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
    with program("-W", "ignore::DeprecationWarning", "-c", GEVENT_PROGRAM, api.url) as process:
        output, _ = process.communicate(timeout=END_S)
    assert process.returncode == 0, output


def _show_life(directory: str) -> None:
    """It is the time at which a file was changed, which moves by a few milliseconds at once."""
    before = sign_of_life(directory)
    while sign_of_life(directory) == before:
        show_life(directory)


def _start_leader(directory: str, over: Mail, on_handover: Callable[[], object] = lambda: None) -> int:
    """A process that leads, of an old version, and does nothing before it is ``over``. Gives its pid."""
    with Mail() as leads:

        def lead() -> None:
            signal.signal(HANDOVER_SIGNAL, lambda *_: on_handover())
            assert try_lock(open_lock(directory, LEADER_LOCK))
            leads.put()
            over.wait()

        pid = start_child(lead)
        leads.wait()
    write_leader(directory, Leader(pid, process_start(pid), pid_namespace(), "0", "spawned", 1, ""))
    return pid


def _leader_after_a_look(link: Link) -> Leader | None:
    link.look()
    return leader()


def _has_started(link: Link) -> bool:
    """Look; whether there is nothing of a start left to wait for."""
    link.look()
    return link._starts._under_way is None


def _link_of_this_process() -> Link:
    runtime = _runtime.current
    assert runtime is not None
    assert runtime.link is not None
    return runtime.link
