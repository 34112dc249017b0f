"""Whether a worker feels the collector: how long recording a call takes while that runs, and while it is stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.measure import Effort, interleaved, wall_us
from benchmarks.place import place, wait_for_heartbeat
from benchmarks.rows import Row, compare_tails
from benchmarks.traffic import an_event, settings
from recost._runtime import Runtime

TITLE = "A worker with 2,000 calls a second: wall time of recording one, with the collector and without"
PAUSE_S = 0.0015
UNTIMED = 2
"""Events after each that is timed: with the pauses about 2,000 a second."""
STRETCH = 150
"""Calls before the collector is stopped, or goes on: a fraction of a second, it is not missed so soon."""

Step = Callable[[], object]


def measure(effort: Effort) -> Iterator[Row]:
    with place() as here:
        runtime = Runtime(settings())
        runtime.record(an_event())
        assert runtime.ring is not None
        wait_for_heartbeat(runtime.ring)
        (collector,) = here.collectors()
        record = partial(runtime.record, an_event(1))
        variants = {
            "with the collector": partial(_stretch, record, record),
            "the collector is stopped": partial(_stretch_without, collector, record, record),
            "empty": partial(_stretch, record, _nothing),
        }
        found = interleaved(variants, effort.times(30), effort.seconds(40))
        runtime.dispose(0)
    singles = {name: [single for stretch in stretches for single in stretch] for name, stretches in found.items()}
    empty = singles.pop("empty")
    for what, samples in singles.items():
        yield compare_tails(what, samples, "us", "an empty function", empty)


def _stretch_without(collector: int, untimed: Step, timed: Step) -> list[float]:
    os.kill(collector, signal.SIGSTOP)
    try:
        return _stretch(untimed, timed)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(collector, signal.SIGCONT)


def _stretch(untimed: Step, timed: Step) -> list[float]:
    took_us = []
    for _ in range(STRETCH):
        time.sleep(PAUSE_S)
        took_us.append(wall_us(timed))  # the first after a pause: the others find the caches warm
        for _ in range(UNTIMED):
            untimed()
    return took_us


def _nothing() -> None:
    pass
