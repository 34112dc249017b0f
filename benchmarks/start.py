"""From the first call of a host to a collector that works, and what the worker pays for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

from benchmarks.measure import NS_PER_US, Effort, interleaved, median, wall_us
from benchmarks.place import START_S, place, wait_for, wait_for_heartbeat
from benchmarks.rows import Row, compare, figure
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
    first_us, heartbeat_us = zip(*found["first event"])
    spawn_us, later_us, cpu_us = zip(*found["spawn"])
    (python_us,), (true_us,) = zip(*found["python"]), zip(*found["true"])
    yield compare("first event to first heartbeat", _ms(heartbeat_us), "ms", "python -c pass", _ms(python_us))
    yield compare("the first event, for its caller", first_us, "us", "a later one", later_us)
    row = compare("starting a collector, for the worker", spawn_us, "us", "/bin/true", true_us)
    yield row._replace(note=f"{figure(median(cpu_us))} us of CPU")


def _ms(samples_us: Iterable[float]) -> list[float]:
    return [sample / 1000 for sample in samples_us]


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
    """How long starting a collector holds a worker's thread up, and a later event; and the CPU of the start."""
    with place() as here:
        ring = WorkerRing(here.runtime)
        runtime, event = Runtime(settings(collector="external")), an_event()
        runtime.record(event)
        later_us = wall_us(lambda: runtime.record(event))
        started_ns, started_cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
        spawned = start_collector(here.runtime)
        took_us = (time.perf_counter_ns() - started_ns) / NS_PER_US
        cpu_us = (time.thread_time_ns() - started_cpu_ns) / NS_PER_US
        assert spawned is not None
        wait_for_heartbeat(ring.file)
        wait_for(spawned.reap, START_S, "the middle process to end")
        spawned.leave()
        runtime.dispose(0)
        ring.leave()
    return [took_us, later_us, cpu_us]


def _start_python_us() -> float:
    return wall_us(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))


def _start_true_us() -> float:
    started_ns = time.perf_counter_ns()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    took_us = (time.perf_counter_ns() - started_ns) / NS_PER_US
    os.waitpid(pid, 0)
    return took_us
