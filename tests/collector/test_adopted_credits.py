"""Calls that were tracked by hand count once, also when a spool that knows of them changes hands."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from recost.event import CallEvent, LlmEvent, encode
from recost.ring.layout import HEAD
from recost_collector import leading
from recost_collector.changes import Changes
from recost_collector.credits import VALID_NS
from recost_collector.leading import lead
from recost_collector.spool import Spool
from tests.collector.collecting import Worker, collector, delivered, file_session, kept, runtime, turn_until
from tests.harness import run_child

TRACKED = 7_500_000_000
"""Pico-dollars; 0.75 cents."""
ESTIMATE = 2.0
"""Cents of one chat completion, by the rules."""


def track(worker: Worker, ago_s: int = 0) -> None:
    event = LlmEvent(
        at_ns=time.time_ns() - ago_s * 1_000_000_000,
        duration_ns=7_000_000,
        provider="openai",
        model="gpt-4o",
        prompt_tokens=1000,
        completion_tokens=500,
        cached_tokens=0,
        cost_pico_usd=TRACKED,
        by_hand=True,
    )
    assert worker.writer.offer(encode(event))


def call(worker: Worker) -> None:
    event = CallEvent(time.time_ns(), 5_000_000, "POST", "https", "api.openai.com", "/v1/chat/completions", 200, 10, 20)
    assert worker.writer.offer(encode(event))


def commit_and_die(worker: Worker) -> None:
    leadership = lead(runtime(), "thread", 1.0)
    assert leadership is not None
    turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="a commit")
    os.kill(os.getpid(), signal.SIGKILL)


def lead_and_die_after(commits: int) -> None:
    commit = Spool.commit
    left = iter(range(commits - 1, -1, -1))

    def commit_once_more(spool: Spool, changes: Changes) -> None:
        commit(spool, changes)
        if not next(left):
            os.kill(os.getpid(), signal.SIGKILL)

    Spool.commit = commit_once_more  # type: ignore[method-assign,assignment]  # in this forked child alone
    with collector():
        os._exit(1)


@pytest.mark.parametrize("commits", range(1, 6))
def test_killed_after_any_step_of_an_adoption(commits: int) -> None:
    """The cursors; theirs, ours and theirs again for the frames; ours for all else."""
    worker = Worker(file_session())
    track(worker)
    track(worker)
    assert run_child(partial(commit_and_die, worker)) == -signal.SIGKILL
    Path(runtime(), "spool-id").unlink()  # that spool is nobody's now
    assert run_child(partial(lead_and_die_after, commits)) == -signal.SIGKILL
    with collector():
        for _ in range(3):
            call(worker)
        worker.leave()

    metrics = [metric for window in delivered() for metric in window["metrics"]]
    assert sum(metric["requestCount"] for metric in metrics) == 5
    assert sum(metric["estimatedCostCents"] for metric in metrics) == pytest.approx(2 * 0.75 + ESTIMATE)


def test_void_credits_that_a_leader_adopts_leave_no_row_behind(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next leader would take that row for damage, and count it."""
    worker = Worker(file_session())
    track(worker, ago_s=VALID_NS // 1_000_000_000 + 60)
    assert run_child(partial(commit_and_die, worker)) == -signal.SIGKILL
    Path(runtime(), "spool-id").unlink()
    worker.leave()
    for ring in Path(runtime()).glob("ring-*"):
        ring.unlink()
    orphan = next(Path(os.environ["RECOST_STATE_DIR"]).glob("*/spool.sqlite3")).parent
    away = orphan.rename(orphan.parent.parent / "away")

    with collector() as leadership:
        leadership.service.turn()
        away.rename(orphan)
        for file in orphan.iterdir():
            os.utime(file, (1, 1))
        monkeypatch.setattr(leading, "ORPHANS_S", 0.0)
        turn_until(leadership, lambda: not orphan.exists(), what="the adoption")
        turn_until(leadership, lambda: not kept(leadership).sessions, what="the session to be forgotten")
    with caplog.at_level("WARNING"), collector():
        pass

    assert caplog.messages == []
