"""What it takes to put a finished call into the ring, in a hot loop and after a pause that has cooled the caches."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping

from benchmarks.measure import Effort, cpu_us, interleaved
from benchmarks.place import place
from benchmarks.rows import Row, compare, compare_tails
from benchmarks.traffic import WorkerRing, an_event, settings
from recost._runtime import Runtime
from recost.event import encode
from recost.ring.layout import HEAD, TAIL

TITLE = "Encode + offer: CPU of the calling thread; percentiles are of single runs, and include reading the clock"
PAUSES_MS = (5.0, 0.5)
HOT = 200
"""Runs in a row, before the next variant has its turn."""
LIMIT_S = 20.0
BASELINES = ("an empty function", "os.getpid()")

Step = Callable[[], object]


def measure(effort: Effort) -> Iterator[Row]:
    with place() as here:
        ring = WorkerRing(here.runtime)
        event = an_event()
        runtime = Runtime(settings(collector="external"))
        runtime.record(event)
        steps: dict[str, Step] = {
            "an empty function": _nothing,
            "os.getpid()": os.getpid,
            "encode": lambda: encode(event),
            "encode + offer": lambda: ring.writer.offer(encode(event)),
            "record": lambda: runtime.record(event),
        }
        make_room = functools.partial(_make_room, ring, runtime)
        yield from _hot(steps, make_room, effort)
        yield from _hot_singles(steps, make_room, effort)
        for pause_ms in PAUSES_MS:
            yield from _cold(steps, make_room, pause_ms, effort)
        runtime.dispose(0)


def _hot(steps: Mapping[str, Step], make_room: Step, effort: Effort) -> Iterator[Row]:
    variants = {name: functools.partial(_mean_us, step, make_room) for name, step in steps.items()}
    found = interleaved(variants, effort.times(400, least=3), effort.seconds(5))
    for baseline in BASELINES:
        for what in ("encode", "encode + offer", "record"):
            yield compare(f"{what}, hot loop", found[what], "us", baseline, found[baseline])


def _hot_singles(steps: Mapping[str, Step], make_room: Step, effort: Effort) -> Iterator[Row]:
    variants = {name: functools.partial(_singles_us, step, make_room) for name, step in steps.items()}
    found = interleaved(variants, effort.times(50, least=1), effort.seconds(5))
    singles = {name: [single for batch in batches for single in batch] for name, batches in found.items()}
    yield from _tails("hot", singles)


def _cold(steps: Mapping[str, Step], make_room: Step, pause_ms: float, effort: Effort) -> Iterator[Row]:
    variants = {
        name: functools.partial(_after_pause_us, step, pause_ms)
        for name, step in steps.items()
        if name in {"encode + offer", *BASELINES}
    }
    make_room()
    found = interleaved(variants, effort.times(1500, least=3), effort.seconds(LIMIT_S))
    yield from _tails(f"one per {pause_ms:g} ms", found)


def _tails(when: str, found: Mapping[str, list[float]]) -> Iterator[Row]:
    for baseline in BASELINES:
        yield compare_tails(f"encode + offer, {when}", found["encode + offer"], "us", baseline, found[baseline])


def _mean_us(step: Step, make_room: Step) -> float:
    make_room()
    return cpu_us(step, HOT)


def _singles_us(step: Step, make_room: Step) -> list[float]:
    make_room()
    return [cpu_us(step, 1) for _ in range(HOT)]


def _after_pause_us(step: Step, pause_ms: float) -> float:
    time.sleep(pause_ms / 1000)
    return cpu_us(step, 1)


def _nothing() -> None:
    pass


def _make_room(ring: WorkerRing, runtime: Runtime) -> None:
    """What a collector does that has committed everything."""
    ring.release_all()
    assert runtime.ring is not None
    words = runtime.ring.words
    words[HEAD] = words[TAIL]
