"""What a collector costs while nobody calls, and while many call now and then."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Effort
from benchmarks.mixes import payloads
from benchmarks.place import place, start
from benchmarks.rows import Row
from benchmarks.traffic import WorkerRing

TITLE = "A collector that has little to do: CPU (user and system, of one core) and resident memory"
IDLE = (1, 32, 128)
BUSY = 32
PER_S = 2000
EVERY_S = 0.02
EASES_AFTER_S = 25.0
"""By then it polls at its slowest pace."""
WATCH_S = 10.0
SLEEPER = "import select, sys\nwhile not select.select([sys.stdin], [], [], 0.4)[0]: pass"
"""Wakes as often as an idle collector, and ends with its stdin."""
AGAINST = "a Python that wakes as often"


class Use(NamedTuple):
    cpu_percent: float
    rss_mb: float
    shared_mb: float
    """Of that, the mapped rings, which the workers have as well."""


def measure(effort: Effort) -> Iterator[Row]:
    with contextlib.ExitStack() as running:
        watched = {f"idle, {_of(count)}": running.enter_context(_collector_with(count))[0] for count in IDLE}
        busy, rings = running.enter_context(_collector_with(BUSY))
        watched[f"{PER_S:,} events a second, {_of(BUSY)}"] = busy
        watched[AGAINST] = running.enter_context(_sleeper())
        traffic = _Traffic(rings)
        traffic.run(effort.seconds(EASES_AFTER_S))
        uses = _watch(watched, traffic, effort.seconds(WATCH_S))
    baseline = uses.pop(AGAINST)
    for what, use in uses.items():
        yield Row(f"CPU, {what}", use.cpu_percent, "%", AGAINST, baseline.cpu_percent, case={"cpu": what})
        own = {"MB without the rings": use.rss_mb - use.shared_mb}
        yield Row(f"memory, {what}", use.rss_mb, "MB", AGAINST, baseline.rss_mb, case={"memory": what}, also=own)


def _of(rings: int) -> str:
    return f"{rings} ring{'s' if rings > 1 else ''}"


class _Traffic:
    """``PER_S`` events a second, to all of the rings in turn."""

    def __init__(self, rings: list[WorkerRing]) -> None:
        self._offers = itertools.cycle([ring.writer.offer for ring in rings])
        self._records = itertools.cycle(payloads("30 endpoints"))

    def run(self, seconds: float) -> None:
        started = next_at = time.monotonic()
        while next_at - started < seconds:
            for _ in range(round(PER_S * EVERY_S)):
                next(self._offers)(next(self._records))
            next_at += EVERY_S
            time.sleep(max(0.0, next_at - time.monotonic()))


@contextlib.contextmanager
def _collector_with(count: int) -> Iterator[tuple[int, list[WorkerRing]]]:
    """The pid of a spawned collector, and the ``count`` rings that it watches over."""
    with place() as here:
        rings = [WorkerRing(here.runtime) for _ in range(count)]
        start(here.runtime, rings[0].file)
        (pid,) = here.collectors()
        yield pid, rings
        for ring in rings:
            ring.leave()


@contextlib.contextmanager
def _sleeper() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        yield process.pid
        process.stdin.close()


def _watch(pids: dict[str, int], traffic: _Traffic, seconds: float) -> dict[str, Use]:
    """All at the same time, so under the same load of the machine."""
    before = {name: _cpu_ns(pid) for name, pid in pids.items()}
    started_ns = time.monotonic_ns()
    traffic.run(seconds)
    # A short look on a busy machine may miss every waking of one of them, and a share of nothing is no figure.
    while any(_cpu_ns(pid) == before[name] for name, pid in pids.items()):
        traffic.run(seconds)
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
