"""From the first call of a host to a collector that works, and what the worker pays for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.measure import NS_PER_US, Effort, interleaved, wall_us
from benchmarks.place import START_S, place, wait_for, wait_for_heartbeat
from benchmarks.rows import Row, compare
from benchmarks.traffic import WorkerRing, an_event, settings
from recost._runtime import Runtime
from recost._spawn import start_collector

TITLE = "Start-up: wall time"


def measure(effort: Effort) -> Iterator[Row]:
    variants = {
        "first event": _first_event,
        "spawn": _spawn,
        "python": lambda: [_start_python_us()],
        "true": lambda: [_start_true_us()],
    }
    found = interleaved(variants, effort.times(9), effort.seconds(15))
    python, true = ([sample[0] for sample in found[name]] for name in ("python", "true"))
    first, heartbeat = zip(*found["first event"])
    later = [sample[1] for sample in found["spawn"]]
    milliseconds = [sample / 1000 for sample in heartbeat]
    yield compare("first event to first heartbeat", milliseconds, "ms", "python -c pass", [us / 1000 for us in python])
    yield compare("the first event, for its caller", first, "us", "a later one", later)
    yield compare(
        "starting a collector, for the worker", [sample[0] for sample in found["spawn"]], "us", "/bin/true", true
    )


def _first_event() -> list[float]:
    """How long the first event held its caller up, and how long after its start the ring's heart beat."""
    with place():
        runtime, event = Runtime(settings()), an_event()
        started_ns = time.perf_counter_ns()
        runtime.record(event)
        recorded_ns = time.perf_counter_ns()
        assert runtime.ring is not None
        wait_for_heartbeat(runtime.ring)
        beat_ns = time.perf_counter_ns()
        runtime.dispose(0)
    return [(recorded_ns - started_ns) / NS_PER_US, (beat_ns - started_ns) / NS_PER_US]


def _spawn() -> list[float]:
    """How long a worker's thread is held up by starting a collector, and by an event that is not the first."""
    with place() as here:
        ring = WorkerRing(here.runtime)
        runtime, event = Runtime(settings(collector="external")), an_event()
        runtime.record(event)
        later_us = wall_us(lambda: runtime.record(event))
        started_ns = time.perf_counter_ns()
        spawned = start_collector(here.runtime)
        took_us = (time.perf_counter_ns() - started_ns) / NS_PER_US
        assert spawned is not None
        wait_for_heartbeat(ring.file)
        wait_for(spawned.reap, START_S, "the middle process to end")
        spawned.release()
        runtime.dispose(0)
        ring.leave()
    return [took_us, later_us]


def _start_python_us() -> float:
    return wall_us(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))


def _start_true_us() -> float:
    started_ns = time.perf_counter_ns()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    took_us = (time.perf_counter_ns() - started_ns) / NS_PER_US
    os.waitpid(pid, 0)
    return took_us
