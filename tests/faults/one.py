"""The process of one row: run it, and say on a pipe how far it is and what it found.

    python -m tests.faults.one REQUEST

``REQUEST`` is a JSON object, the fields of ``Request``.  Lines of JSON go to ``report_fd``: ``[done, of]`` while it
runs, the ``Verdict`` at the end.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
import traceback
from pathlib import Path
from typing import Optional

import msgspec

from tests.faults.row import Row, Skipped, Trial, Verdict

PROGRESS_S = 0.2


class Request(msgspec.Struct):
    """Which row, how, and where."""

    module: str
    name: str
    full: bool
    seed: int
    roots: tuple[str, str]
    report_fd: int
    kills: Optional[int] = None


class Report:
    """The pipe to the runner; too frequent progress is not told."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._told_at = 0.0
        os.set_inheritable(fd, False)  # a collector that a row starts must not hold it open

    def progress(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_S:
            self._told_at = now
            self.line([done, of])

    def line(self, value: object) -> None:
        os.write(self._fd, msgspec.json.encode(value) + b"\n")


def run(request: Request) -> None:
    """Run the row and report."""
    report = Report(request.report_fd)
    row = find(request.module, request.name)
    memory, disk = map(Path, request.roots)
    trial = Trial(row.name, full=request.full, seed=request.seed, roots=(memory, disk), kills=request.kills)
    trial.on_progress = report.progress
    owner = os.getpid()
    began_at = time.monotonic()
    try:
        row.run(trial)
    except Skipped as reason:
        trial.verdict.skipped = str(reason)
    except Exception:  # noqa: BLE001 - whatever it was, the row did not hold
        trial.violated(f"the row ended on a fault of its own: {traceback.format_exc(limit=-4)}")
    finally:
        if os.getpid() != owner:  # a child that came back from a row
            os._exit(70)
    report.line(_finished(trial.verdict, row, time.monotonic() - began_at))


def find(module: str, name: str) -> Row:
    """The row of that name in the module."""
    rows: list[Row] = importlib.import_module(module).ROWS
    return next(row for row in rows if row.name == name)


def _finished(verdict: Verdict, row: Row, seconds: float) -> Verdict:
    if not verdict.tries and not verdict.skipped and not verdict.violations:
        verdict.violations.append("the row tried nothing")
    verdict.promise = row.promise
    verdict.seconds = round(seconds, 1)
    verdict.python = platform.python_version()
    return verdict


if __name__ == "__main__":
    run(msgspec.json.decode(sys.argv[1], type=Request))
