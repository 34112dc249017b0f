"""Rows that hold, break, hang and crash: what the tests of the runner run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.faults.row import Row, Trial


def _holds(trial: Trial) -> None:
    trial.plan(3)
    trial.place().enter()
    for _ in range(3):
        trial.tried()
        trial.check(os.path.isdir(os.environ["RECOST_RUNTIME_DIR"]), "no runtime directory")
    trial.controlled("anything", 2, 3)
    trial.figure(f"number {trial.random.randrange(1000)}")


def _breaks(trial: Trial) -> None:
    trial.tried()
    trial.violated("expected 2, found 3")


def _shows_nothing(trial: Trial) -> None:
    trial.tried()
    trial.controlled("the lock", 0, 5)


def _skips(trial: Trial) -> None:
    trial.skip("needs a tool that is missing")


def _raises(trial: Trial) -> None:
    trial.tried()
    raise ValueError("a bug of the row")


def _crashes(_trial: Trial) -> None:
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def _hangs(trial: Trial) -> None:
    trial.tried()
    signal.pause()


def _leaves_a_process(trial: Trial) -> None:
    trial.tried()
    subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", str(trial.disk)])


ROWS = [
    Row("sample.holds", "this one holds", _holds),
    Row("sample.breaks", "this one does not", _breaks),
    Row("sample.shows-nothing", "its control is worthless", _shows_nothing),
    Row("sample.skips", "it cannot run", _skips),
    Row("sample.raises", "it has a bug", _raises),
    Row("sample.crashes", "it dies", _crashes),
    Row("sample.hangs", "it never ends", _hangs, limit_s=(1.0, 1.0)),
    Row("sample.leaves", "it leaves a process behind", _leaves_a_process),
    Row("sample.whole", "only in the full form", _holds, in_quick=False),
]
