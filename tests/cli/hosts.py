"""Hosts for the command line to be asked about, and the command itself, in the test's own process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recost.leader import read_leader
from recost.session import Destination, Session
from recost_collector import ring_checkup, status_look
from recost_collector.cli import main
from recost_collector.spool import SPOOL_FILE
from tests.collector.collecting import (
    Worker,
    collector,
    file_session,
    local_dir_in_the_way,
    runtime,
    turn_until,
)
from tests.harness import PATIENCE_S, wait_until

KEY = "rc-very-secret-key"
GARBAGE = "garbage"


class Command:
    """``recost-collector`` with these first arguments: what it said last."""

    def __init__(self, capture: pytest.CaptureFixture[str], *first: str) -> None:
        self._capture = capture
        self._first = first
        self.text = self.errors = ""

    def other(self, *first: str) -> Command:
        """Another one, beside it."""
        return Command(self._capture, *first)

    def __call__(self, *arguments: object) -> int:
        self._capture.readouterr()
        try:
            code = main(_patient([*self._first, *map(str, arguments)]))
        except SystemExit as exc:
            code = int(exc.code or 0)
        self.text, self.errors = self._capture.readouterr()
        assert KEY not in self.text + self.errors
        return code

    def json(self, *arguments: object) -> Any:
        self(*arguments, "--json")
        return json.loads(self.text)


def checks(doctor: Command, *arguments: object) -> dict[str, dict[str, Any]]:
    """What doctor found, by name; of several with one name the worst."""
    worst = ("ok", "warn", "fail")
    found = sorted(doctor.json(*arguments)["checks"], key=lambda check: worst.index(check["verdict"]))
    return {check["name"]: check for check in found}


def _patient(words: list[str]) -> list[str]:
    """The same command, with time enough for a busy machine where it waits for an outcome and was given none."""
    waits = words[:1] == ["flush"] or words[:2] in (["spool", "retry"], ["spool", "delete"])
    return [*words, "--timeout", f"{PATIENCE_S:g}"] if waits and "--timeout" not in words else words


def wait_for_a_slow_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a collector turns, have doctor and status wait for it as long as it takes: a busy machine may stall it."""
    for module in (ring_checkup, status_look):
        monkeypatch.setattr(module, "BEAT_WAIT_S", PATIENCE_S)


@contextlib.contextmanager
def foreground(stderr: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """``recost-collector run``, leading. Ended by SIGTERM, whatever was done to it."""
    command = [sys.executable, "-m", "recost_collector", "run"]
    with subprocess.Popen(command, stderr=stderr, text=True) as process:
        try:
            wait_until(lambda: leads(process.pid), what="the collector to lead")
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()


@contextlib.contextmanager
def stopped() -> Iterator[subprocess.Popen[str]]:
    """A collector that leads and does nothing."""
    with foreground() as process:
        process.send_signal(signal.SIGSTOP)
        yield process


def leads(pid: int) -> bool:
    leader = read_leader(os.environ["RECOST_RUNTIME_DIR"])
    return leader is not None and leader.pid == pid


def cloud_session(port: int, project: str = "shop", **settings: Any) -> Session:
    """To a service on this machine."""
    url = f"http://127.0.0.2:{port}/projects/{project}/telemetry"
    return Session(Destination(url, project), **{"max_retries": 0, **settings})


def leave_window(session: Session, api_key: str = "", calls: int = 1) -> Path:
    """A worker that has called and gone, and a collector that could not deliver it. Gives the spool's directory."""
    worker = Worker(session, api_key)
    with collector() as leadership:
        worker.calls(calls)
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the attempt")
        worker.leave()
        turn_until(leadership, lambda: not leadership.service.rings.sources, what="the ring to go")
        return Path(leadership.state_dir)


def leave_waiting_file(calls: int = 3) -> Path:
    """A window that waits for its file, which can be written again by now."""
    session = file_session()
    with local_dir_in_the_way():
        return leave_window(session, calls=calls)


def damage_spool(folder: Path, how: str = GARBAGE) -> Path:
    """Make it unreadable, by SQL or as a whole. Gives the file."""
    path = folder / SPOOL_FILE
    if how == GARBAGE:
        path.write_bytes(b"x" * 8192)
        return path
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(how)
    return path


def runtime_files() -> list[str]:
    return sorted(os.listdir(runtime()))
