"""Runs cells, each in a process and a folder of its own, and looks for what it left behind."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, Optional

import msgspec

from tests import leaks
from tests.environment import clean
from tests.processes.support import ROOT
from tests.servers.one import RESULT
from tests.servers.results import FAILED, Result

LIMIT_S = 240.0
"""A cell that takes longer hangs."""
OUTPUT_TAIL = 600
"""Characters of a crashed cell's output that go into its result."""

_pids: set[int] = set()
"""The processes of the cells under way."""


class Job(NamedTuple):
    """A cell that is to run."""

    module: str
    label: str
    unfinished: Result
    """What is known of it before."""
    limit_s: float = LIMIT_S


class Running:
    """One cell under way. ``poll`` until it gives a result."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._token = f"recost-matrix-{secrets.token_hex(4)}"
        self._before = leaks.look(self._token)
        self._root = Path(tempfile.gettempdir()) / self._token
        self._root.mkdir(mode=0o711)  # a server may become another user
        (self._root / "cell").mkdir(mode=0o700)
        self._output = self._root / "output.txt"
        self._began_at = time.monotonic()
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.servers.one", job.module, job.label, self._root / "cell"],
                cwd=ROOT,
                env=_environment(self._root),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _pids.add(self._process.pid)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began_at

    def poll(self) -> Optional[Result]:
        """The result once the cell has ended, and everything that it made is gone."""
        if self._process.poll() is None and self.seconds < self.job.limit_s:
            return None
        return self.end()

    def end(self) -> Result:
        """End it, if it has not ended by itself."""
        overdue = self._process.poll() is None
        if overdue:
            self._process.kill()
        code = self._process.wait()
        _pids.discard(self._process.pid)
        result = self._result(code)
        if overdue:
            result.verdict, result.why = FAILED, f"did not end within {self.job.limit_s:g} s: {self._tail()}"
        left = self._leftovers()
        if left:
            result.verdict, result.why = FAILED, f"{result.why}\nleft behind: {left}".strip()
        shutil.rmtree(self._root, ignore_errors=True)
        return result

    def _result(self, code: int) -> Result:
        file = self._root / RESULT
        if file.exists():
            return msgspec.json.decode(file.read_bytes(), type=Result)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
        why = f"the cell's process ended with {how}: {self._tail()}"
        return msgspec.structs.replace(self.job.unfinished, why=why)

    def _leftovers(self) -> str:
        """What is still there after all that leaves by itself had the time to; its processes are ended now.

        Without the other cells that run beside this one: those are our children, too.
        """
        left = leaks.wait_for_nothing_new(self._token, self._before, besides=_pids)
        leaks.end(left, self._token)
        return str(left)

    def _tail(self) -> str:
        return self._output.read_text(errors="replace")[-OUTPUT_TAIL:].strip()


def _environment(root: Path) -> dict[str, str]:
    """Folders that only this cell has, and nothing that is the machine's own."""
    own = {f"RECOST_{name.upper()}_DIR": str(root / name) for name in ("runtime", "state", "local")}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "collector")])
    return {**clean(os.environ), **own, "PYTHONPATH": paths, "HOME": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
