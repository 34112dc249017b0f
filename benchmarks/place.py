"""Folders of one benchmark's own, the collectors that it started, and that nothing of either is left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from recost._spawn import start_collector
from recost.paths import SHARED_MEMORY
from recost.ring.files import RingFile
from recost.ring.layout import HEARTBEAT

ROOT = Path(__file__).parents[1]
IDLE_EXIT_S = "0.3"
LEAVE_S = 15.0
START_S = 30.0
POLL_S = 0.001


class Place(NamedTuple):
    """The folders. They are what ``RECOST_*`` in the environment names."""

    runtime: str
    state: str
    local: str
    home: str

    def collectors(self) -> list[int]:
        """The pids of the collectors of ``runtime``, those that start up too: their command line names it."""
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [pid for pid in pids if self.runtime.encode() in _command(pid)]

    def wait_until_idle(self) -> None:
        """Wait for every collector to have left by itself; one that stays for a dead endpoint is ended."""
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not self.collectors(), LEAVE_S, "the collector to leave")
        self.end_collectors()

    def end_collectors(self) -> None:
        """Kill what is there: the folders are thrown away in any case."""
        for pid in self.collectors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.collectors(), LEAVE_S, "killed collectors to be gone")


@contextlib.contextmanager
def place(**variables: str) -> Iterator[Place]:
    """Make folders and put them, and ``variables``, into the environment; at the end undo all of it."""
    memory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else tempfile.gettempdir()
    roots = [tempfile.mkdtemp(prefix="recost-bench-", dir=folder) for folder in (memory, tempfile.gettempdir())]
    here = Place(os.path.join(roots[0], "run"), *(os.path.join(roots[1], name) for name in ("state", "local", "home")))
    before = dict(os.environ)
    try:
        for folder in here:
            os.mkdir(folder, 0o700)
        _enter(here, variables)
        yield here
        here.wait_until_idle()
    finally:
        here.end_collectors()
        os.environ.clear()
        os.environ.update(before)
        for root in roots:
            shutil.rmtree(root, ignore_errors=True)


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Raises ``TimeoutError`` when it does not come true."""
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= give_up_at:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(POLL_S)


def wait_for_heartbeat(ring: RingFile) -> None:
    wait_for(lambda: ring.words[HEARTBEAT] > 0, START_S, "a collector's heartbeat")


def start(directory: str, ring: RingFile) -> None:
    """Start a collector as a worker would, and wait for its first turn."""
    spawned = start_collector(directory)
    wait_for_heartbeat(ring)
    if spawned is not None:
        wait_for(spawned.reap, START_S, "the middle process to end")
        spawned.leave()


def _enter(here: Place, variables: Mapping[str, str]) -> None:
    for name in list(os.environ):
        if name.startswith("RECOST_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(
        HOME=here.home,
        PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "collector")]),
        RECOST_RUNTIME_DIR=here.runtime,
        RECOST_STATE_DIR=here.state,
        RECOST_LOCAL_DIR=here.local,
        RECOST_COLLECTOR_IDLE_EXIT_S=IDLE_EXIT_S,
    )
    os.environ.update(variables)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() if pid != os.getpid() else b""
    except OSError:  # it ended while we looked
        return b""


def is_supported() -> bool:
    """Processes are watched through /proc, and servers stand on 127.0.0.2, which only Linux has by itself."""
    return sys.platform.startswith("linux")
