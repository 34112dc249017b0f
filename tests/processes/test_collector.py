"""One collector per host and user, whatever happens to it while workers call."""

from __future__ import annotations

import os
import signal
import time

import pytest

import recost
from tests.conftest import Place
from tests.harness import run_child, start_child, wait_for_child, wait_until
from tests.processes.support import (
    Api,
    Mail,
    call,
    calling,
    collectors,
    delivered,
    kill_leader,
    log_lines,
    wait_for_leader,
    wait_until_delivered,
    windows,
)

WORKERS = 32


def test_a_state_directory_whose_name_is_no_text_is_one(api: Api, place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RECOST_STATE_DIR", os.path.join(place.state, "\udcff"))

    def program() -> None:
        recost.init()
        call(api.url)
        assert recost.flush(60)

    assert run_child(program) == 0
    assert delivered() == 1


def test_32_workers_that_start_at_once_have_one_collector(api: Api):
    with Mail() as go, Mail() as report, Mail() as leave:

        def work():
            recost.init(shutdown_flush_timeout_ms=0)
            go.wait()
            call(api.url)
            report.put(b"called\n")
            leave.wait()
            call(api.url)

        pids = [start_child(work) for _ in range(WORKERS)]
        go.put()
        report.take_lines(WORKERS)
        wait_for_leader()
        assert len(collectors()) == 1
        leave.put()
        assert [wait_for_child(pid) for pid in pids] == [0] * WORKERS
    wait_until_delivered(2 * WORKERS)
    assert len(log_lines(" leads: ")) == 1, log_lines("")


def test_a_collector_that_is_killed_three_times_loses_and_repeats_nothing(monkeypatch: pytest.MonkeyPatch):
    """Amid its work, as soon as it leads, and amid its work again."""
    monkeypatch.setenv("RECOST_FLUSH_INTERVAL_MS", "150")
    took_s = []
    with Api(latency_s=0.005) as api:
        with calling(api.url, workers=4):
            for more_windows in (3, 0, 3):
                enough = len(windows()) + more_windows
                wait_until(lambda: len(windows()) >= enough, what="windows")  # noqa: B023 - called right here
                killed = kill_leader()
                killed_at = time.monotonic()
                wait_for_leader(other_than=killed)
                took_s.append(time.monotonic() - killed_at)
        wait_until_delivered(api.calls)
    assert len(log_lines(" leads: ")) == 4, log_lines("")
    print(f"calls={api.calls} windows={len(windows())} takeovers_s={[round(s, 2) for s in took_s]}")


def test_a_collector_that_is_stopped_is_replaced_and_totals_stay_exact(monkeypatch: pytest.MonkeyPatch):
    """Takes the ten looks after which a silent leader counts as hung."""
    monkeypatch.setenv("RECOST_FLUSH_INTERVAL_MS", "150")
    with Api(latency_s=0.01) as api:
        with calling(api.url, workers=2):
            wait_until(lambda: delivered() > 20, what="windows")
            stopped = kill_leader(signal.SIGSTOP)
            stopped_at = time.monotonic()
            successor = wait_for_leader(other_than=stopped)
            took_s = time.monotonic() - stopped_at
            assert successor.epoch == stopped.epoch + 1
            wait_until(lambda: not os.path.exists(f"/proc/{stopped.pid}"), what="the stopped one to be gone")
        wait_until_delivered(api.calls)
    print(f"calls={api.calls} takeover_s={took_s:.1f}")
