"""Where a demo happens: folders of its own, and the environment that keeps all it starts within them.

Rings and locks are in memory, where recost puts them too; everything is removed at the end but the telemetry file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Optional

from recost.leader import SPAWN_LOCK, Leader, has_leader, open_lock, read_leader
from recost.paths import SHARED_MEMORY, runtime_dirs
from recost.system import try_lock

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "helpdesk"
POLL_S = 0.05
IDLE_EXIT_S = 1
"""How long the collector stays after the last worker; 10 s is the default."""
LOG_LINES = 15
FOREIGN = re.compile(r"RECOST_.*|GUNICORN_CMD_ARGS|.*_proxy", re.IGNORECASE)
TERM_S = 8.0
"""How long a collector may take to end when it is asked to."""


class Busy(Exception):  # noqa: N818 - a finding, not an error of the program
    """Another demo writes into the same folder."""


class Place:
    """The folders of one run. A context manager: what is left of it afterwards is ``file``."""

    def __init__(self, kept: Path) -> None:
        self.kept = kept
        self.file = kept / f"{PROJECT}.jsonl"
        self._lock_fd: int  # these exist from __enter__ on
        self._runtime: Path
        self._work: Path

    @property
    def runtime(self) -> str:
        return str(self._runtime)

    @property
    def under_way(self) -> str:
        """Folder in which each worker notes the calls that it has begun and ended."""
        return str(self._work / "under-way")

    @property
    def log(self) -> Path:
        """Gunicorn's."""
        return self._work / "gunicorn.log"

    @property
    def collector_log(self) -> Path:
        return self._work / "state" / "collector.log"

    def __enter__(self) -> Place:
        self._lock_kept()
        memory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK | os.X_OK) else None
        prefix = f"recost-demo-{os.getpid()}-"
        self._runtime = Path(tempfile.mkdtemp(prefix=prefix, dir=memory))
        self._work = Path(tempfile.mkdtemp(prefix=prefix))
        for name in ("state", "home", "under-way"):
            (self._work / name).mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        end_collector(self.runtime)
        for folder in (*runtime_dirs({"RECOST_RUNTIME_DIR": self.runtime}), str(self._work)):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(self._lock_fd)

    def environment(self) -> dict[str, str]:
        """For everything that the demo starts. No setting of the user's that would change what happens is in it."""
        kept = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
        paths = [str(ROOT), str(ROOT / "collector"), os.environ.get("PYTHONPATH", "")]
        return {
            **kept,
            "HOME": str(self._work / "home"),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "RECOST_RUNTIME_DIR": self.runtime,
            "RECOST_STATE_DIR": str(self._work / "state"),
            "RECOST_LOCAL_DIR": str(self.kept),
            "RECOST_ENVIRONMENT": "demo",
            "RECOST_FLUSH_INTERVAL_MS": "3000",
            "RECOST_COLLECTOR_IDLE_EXIT_S": str(IDLE_EXIT_S),
        }

    def collector(self) -> Optional[Leader]:
        """The one that leads now."""
        leader = read_leader(self.runtime)
        return leader if leader is not None and has_leader(self.runtime) and leader.is_alive() else None

    def _lock_kept(self) -> None:
        self.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_fd = os.open(self.kept, os.O_RDONLY | os.O_CLOEXEC)  # the folder itself, so no lock file remains
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock_fd)
            raise Busy(f"another demo writes to {self.kept}: wait for it, or give another folder with --keep") from None
        self.file.unlink(missing_ok=True)  # the last run's


def tail(log: Path) -> str:
    """The end of a log, for who looks for what went wrong."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return f"({log.name} was never written)"
    return "\n".join(lines[-LOG_LINES:])


def collector_is_gone(runtime: str) -> bool:
    """True when no collector leads and none is being started. Only without workers does that stay true."""
    fd = open_lock(runtime, SPAWN_LOCK)
    try:
        return try_lock(fd) and not has_leader(runtime)
    finally:
        os.close(fd)


def end_collector(runtime: str) -> None:
    """End a collector that did not leave by itself. Call it when the workers are gone."""
    asked: set[int] = set()
    give_up_at = time.monotonic() + TERM_S
    while not collector_is_gone(runtime):
        late = time.monotonic() > give_up_at
        leader = read_leader(runtime)
        if leader is not None and leader.is_alive() and (late or leader.pid not in asked):
            asked.add(leader.pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader.pid, signal.SIGKILL if late else signal.SIGTERM)
        if late and (leader is None or time.monotonic() > give_up_at + TERM_S):
            sys.stderr.write(f"demo: a collector does not end; its runtime directory was {runtime}\n")
            return
        time.sleep(POLL_S)
