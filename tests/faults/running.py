"""Runs rows, each in a process and folders of its own, and looks for what it left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, Optional

import msgspec

from tests import leaks
from tests.environment import clean
from tests.faults.one import Request
from tests.faults.pythons import Python
from tests.faults.row import Row, Verdict

ROOT = Path(__file__).parents[2]
OUTPUT_TAIL = 600
"""Characters of a crashed row's output that go into its verdict."""

_row_pids: set[int] = set()
"""The processes of the rows under way."""


class Job(NamedTuple):
    """A row that is to run, and with what."""

    module: str
    row: Row
    python: Python
    full: bool
    seed: int
    kills: Optional[int]

    @property
    def label(self) -> str:
        """The row's name; with the Python where it runs on several."""
        return f"{self.row.name}[{self.python.version}]" if self.row.on_every_python and self.full else self.row.name

    @property
    def limit_s(self) -> float:
        return self.row.limit_s[self.full]


class Running:
    """One row under way. ``poll`` until it gives a verdict."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.done, self.of = 0, 0
        self._token = f"recost-torture-{secrets.token_hex(4)}"
        self._before = leaks.look(self._token)
        self._roots = _make_roots(self._token)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the row
        self._began_at = time.monotonic()
        self._text = b""
        self._verdict: Optional[Verdict] = None
        self._read_fd, write_fd = os.pipe()
        try:
            self._process = self._start(write_fd)
            _row_pids.add(self._process.pid)
        finally:
            os.close(write_fd)

    def poll(self, timeout_s: float) -> Optional[Verdict]:
        """Wait up to ``timeout_s`` for news; the verdict once the row has ended, and everything it made is gone."""
        if self._read(timeout_s) and self._process.poll() is None and not self._is_overdue:
            return None
        if self._process.poll() is None and not self._is_overdue:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it has said all and ends
                self._process.wait(timeout_s)
            return None
        return self._end()

    def stop(self) -> None:
        """End it without a verdict."""
        self._end()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began_at

    @property
    def _is_overdue(self) -> bool:
        return self.seconds > self.job.limit_s

    def _start(self, write_fd: int) -> subprocess.Popen[bytes]:
        job = self.job
        request = Request(job.module, job.row.name, job.full, job.seed, self._roots, write_fd, job.kills)
        return subprocess.Popen(
            [job.python.path, "-m", "tests.faults.one", msgspec.json.encode(request).decode()],
            cwd=ROOT,
            env=_environment(self._roots),
            pass_fds=[write_fd],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _read(self, timeout_s: float) -> bool:
        """Take in what the row says. False: it has said all."""
        if not select.select([self._read_fd], [], [], timeout_s)[0]:
            return True
        data = os.read(self._read_fd, 1 << 16)
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            if line.startswith(b"["):
                self.done, self.of = msgspec.json.decode(line, type=tuple[int, int])
            else:
                self._verdict = msgspec.json.decode(line, type=Verdict)
        return bool(data)

    def _end(self) -> Verdict:
        overdue = self._process.poll() is None
        if overdue:
            self._process.kill()
        code = self._process.wait()
        _row_pids.discard(self._process.pid)
        with contextlib.suppress(OSError):
            while self._read(0):
                if not select.select([self._read_fd], [], [], 0)[0]:
                    break
        os.close(self._read_fd)
        verdict = self._verdict or Verdict(self.job.row.name, promise=self.job.row.promise)
        if overdue:
            verdict.violations.append(f"did not end within {self.job.limit_s:g} s")
        elif self._verdict is None:
            verdict.violations.append(f"the row's process ended with {_told(code)}: {self._tail()}")
        self._output.close()
        verdict.name = self.job.label
        verdict.violations += self._leftovers()
        return verdict

    def _leftovers(self) -> list[str]:
        """What is new since this row began, without the other rows that run beside it: those are our children, too."""
        left = leaks.wait_for_nothing_new(self._token, self._before, besides=_row_pids)
        leaks.end(left, self._token)
        for root in {Path(path).parent for path in self._roots}:
            shutil.rmtree(root, ignore_errors=True)
        return [f"left behind: {line}" for line in str(left).splitlines()]

    def _tail(self) -> str:
        self._output.seek(0)
        return self._output.read().decode(errors="replace")[-OUTPUT_TAIL:].strip()


def _make_roots(token: str) -> tuple[str, str]:
    temp = Path(tempfile.gettempdir())
    memory = leaks.SHARED_MEMORY if os.access(leaks.SHARED_MEMORY, os.W_OK) else temp
    roots = (memory / token / "memory", temp / token / "disk")
    for root in roots:
        root.mkdir(mode=0o700, parents=True)
    return str(roots[0]), str(roots[1])


def _environment(roots: tuple[str, str]) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "collector")])
    return {**clean(os.environ), "PYTHONPATH": paths, "HOME": roots[1], "PYTHONDONTWRITEBYTECODE": "1"}


def _told(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
