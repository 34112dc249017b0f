"""A collector without a worker that would have started it: one for this process's place."""

from __future__ import annotations

import os

from recost import _spawn
from recost.leader import Leader
from recost.paths import make_private_dir
from tests.harness import wait_until
from tests.processes.support import wait_for_leader


def start_collector() -> Leader:
    """Start one as a worker would, unless there is one, and wait until it leads."""
    directory = os.environ["RECOST_RUNTIME_DIR"]
    make_private_dir(directory)
    started = _spawn.start_collector(directory)
    leader = wait_for_leader(timeout_s=30)
    if started is not None:
        wait_until(started.reap)
        started.leave()
    return leader
