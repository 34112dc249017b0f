"""The help desk under Gunicorn, in a session of its own, so that Ctrl-C reaches the demo alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Optional

from examples.demo.place import POLL_S, ROOT
from examples.helpdesk.under_way import read_under_way

CONFIG = ROOT / "examples" / "helpdesk" / "gunicorn.conf.py"
GRACEFUL_S = 25.0
QUICK_S = 1.0
NOTICED_S = 5.0
BACKLOG = 512
BUSY = 2
"""Calls under way that make a worker busy."""


class Killed(NamedTuple):
    """A worker that was ended by SIGKILL."""

    pid: int
    in_flight: Counter[tuple[str, str]]
    """Calls that it had begun and not finished, by provider and path."""


class Server:
    """From construction on it is being started; a context manager that leaves no process behind."""

    def __init__(self, environment: dict[str, str], under_way: str, log: Path) -> None:
        self._under_way = under_way
        # Bound here and handed on, so that the port is known and nobody else's, and no page is asked for too early.
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener, open(log, "wb") as output:
            self.address: tuple[str, int] = listener.getsockname()[:2]
            command = [sys.executable, "-m", "gunicorn", "--config", str(CONFIG), "--chdir", str(ROOT)]
            self._master = subprocess.Popen(
                [*command, "--bind", f"fd://{listener.fileno()}", "examples.helpdesk.app:app"],
                cwd=ROOT,
                env=environment,
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._end(signal.SIGQUIT, QUICK_S)
        self._kill_group()  # workers that outlived a master which ended by itself

    @property
    def is_running(self) -> bool:
        return self._master.poll() is None

    def stop(self) -> bool:
        """Let the workers finish and end. False when they had to be killed."""
        return self._end(signal.SIGTERM, GRACEFUL_S)

    def kill_busy_worker(self) -> Optional[Killed]:
        """SIGKILL the worker with most calls under way; None when none is busy now."""
        busy = {pid: sum(calls.values()) for pid, calls in read_under_way(self._under_way).items()}
        pid = max(busy, key=lambda pid: busy[pid], default=0)
        if busy.get(pid, 0) < BUSY or not self._is_worker(pid):
            return None
        os.kill(pid, signal.SIGKILL)
        give_up_at = time.monotonic() + NOTICED_S
        while self._is_worker(pid) and time.monotonic() < give_up_at:  # until Gunicorn knows: then it writes no more
            time.sleep(POLL_S)
        return Killed(pid, read_under_way(self._under_way)[pid])

    def _is_worker(self, pid: int) -> bool:
        try:
            return os.getpgid(pid) == self._master.pid
        except ProcessLookupError:
            return False

    def _end(self, number: int, patience_s: float) -> bool:
        if self._master.poll() is not None:
            return True
        self._master.send_signal(number)
        try:
            self._master.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._kill_group()
            self._master.wait()
            return False
        return True

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in it
            os.killpg(self._master.pid, signal.SIGKILL)
