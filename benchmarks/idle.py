"""What a collector costs while nobody calls."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Effort
from benchmarks.place import place, start
from benchmarks.rows import Row
from benchmarks.traffic import WorkerRing

TITLE = "An idle collector: CPU (user and system, of one core) and resident memory"
RINGS = (1, 32)
EASES_AFTER_S = 2.0
"""By then it polls at its slow pace."""
WATCH_S = 8.0
SLEEPER = "import select, sys\nwhile not select.select([sys.stdin], [], [], 0.2)[0]: pass"
"""Wakes as often as an idle collector, and ends with its stdin."""


class Use(NamedTuple):
    cpu_percent: float
    rss_mb: float
    shared_mb: float
    """Of that, the mapped rings, which the workers have as well."""


def measure(effort: Effort) -> Iterator[Row]:
    with contextlib.ExitStack() as running:
        pids = {rings: running.enter_context(_collector_with(rings)) for rings in RINGS}
        pids[0] = running.enter_context(_sleeper())
        time.sleep(effort.seconds(EASES_AFTER_S))
        uses = _watch(pids, effort.seconds(WATCH_S))
    against, baseline = "a Python that wakes as often", uses.pop(0)
    for rings, use in uses.items():
        of, note = f"{rings} ring{'s' if rings > 1 else ''}", f"{use.shared_mb:.1f} MB of it are the rings"
        yield Row(f"CPU, {of}", use.cpu_percent, "%", against, baseline.cpu_percent)
        yield Row(f"memory, {of}", use.rss_mb, "MB", against, baseline.rss_mb, note=note)


@contextlib.contextmanager
def _collector_with(count: int) -> Iterator[int]:
    """The pid of a spawned collector that watches over ``count`` rings."""
    with place() as here:
        rings = [WorkerRing(here.runtime) for _ in range(count)]
        start(here.runtime, rings[0].file)
        (pid,) = here.collectors()
        yield pid
        for ring in rings:
            ring.leave()


@contextlib.contextmanager
def _sleeper() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        yield process.pid
        process.stdin.close()


def _watch(pids: dict[int, int], seconds: float) -> dict[int, Use]:
    """All at the same time, so under the same load of the machine."""
    before = {name: _cpu_ns(pid) for name, pid in pids.items()}
    started_ns = time.monotonic_ns()
    time.sleep(seconds)
    # A short look on a busy machine may miss every waking of one of them, and a share of nothing is no figure.
    while any(_cpu_ns(pid) == before[name] for name, pid in pids.items()):
        time.sleep(seconds)
    watched_ns = time.monotonic_ns() - started_ns
    return {name: _use(pid, (_cpu_ns(pid) - before[name]) / watched_ns) for name, pid in pids.items()}


def _use(pid: int, cpu_share: float) -> Use:
    return Use(cpu_share * 100, _memory_mb(pid, "VmRSS"), _memory_mb(pid, "RssShmem"))


def _cpu_ns(pid: int) -> int:
    """utime + stime of all threads, from the kernel's clock of that process: /proc counts in ticks of 10 ms."""
    return time.clock_gettime_ns(~pid << 3 | 2)  # what clock_getcpuclockid(3) gives


def _memory_mb(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
