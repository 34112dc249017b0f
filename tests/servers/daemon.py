"""A program that makes itself a daemon after ``init()`` and a call, and does not spare recost's descriptors."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

from tests.harness import wait_until
from tests.processes.support import Api
from tests.servers.cell import Cell, Counts
from tests.servers.folder import LIMIT_S, Folder

CALLS = 60
LATENCY_S = 0.005

MODES = {
    "forks twice, stdio to /dev/null": "with_redirected_stdio",
    "forks twice, stdio closed": "with_closed_stdio",
    "forks twice, closes all descriptors": "closing_all",
    "closes all descriptors after calls": "closing_all_amid_calls",
    "closes all descriptors at its first call": "closing_all_at_the_start",
    "python-daemon": "with_python_daemon",
}


def run(path: Path, *, how: str, is_killed: bool) -> Counts:
    with Folder(path) as folder, Api(LATENCY_S) as api:
        with folder.start("-m", "tests.servers.daemon_program", how, api.url) as process:
            folder.wait_for_end(process)  # the daemon goes on
            (pid,) = folder.wait_for_workers(1)
            wait_until(lambda: api.calls >= CALLS, LIMIT_S, "calls")
            if is_killed:
                os.kill(pid, signal.SIGKILL)
            folder.stop()
            counts = folder.counts(api, int(is_killed))
        assert is_killed or (path / "sound").exists(), folder.output()
        return counts


CELLS = [
    Cell(
        "daemon",
        mode,
        ending,
        functools.partial(run, how=how, is_killed=ending == "SIGKILL"),
        is_fast=(how, ending) == ("closing_all_amid_calls", "graceful"),
    )
    for mode, how in MODES.items()
    for ending in ("graceful", "SIGKILL")
]
