"""What a captured call costs the thread that makes it."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import recost
from benchmarks.clients import CLIENTS, Calls
from benchmarks.measure import Effort, interleaved, median
from benchmarks.place import place, wait_for_heartbeat
from benchmarks.rows import Row, figure
from benchmarks.server import running_server
from benchmarks.switchboard import VARIANTS, Switchboard
from benchmarks.traffic import an_event
from recost import _runtime

TITLE = "A captured call: CPU of the calling thread, the client's own work included"
CALLS = 10
"""In a row, before the next variant has its turn: a millisecond or two."""
REPETITIONS = 400
LIMIT_S = 4.0


def measure(effort: Effort) -> Iterator[Row]:
    with place(), running_server() as url:
        switchboard = Switchboard()
        with recost.init():
            switchboard.capture()
            _start_collector()
            try:
                for name, client in CLIENTS.items():
                    with client(f"{url}/v1/chat/completions") as calls:
                        yield _row(name, calls, switchboard, effort)
            finally:
                switchboard.use("recost")


def _start_collector() -> None:
    runtime = _runtime.current
    assert runtime is not None
    runtime.record(an_event())
    assert runtime.ring is not None
    wait_for_heartbeat(runtime.ring)


def _row(name: str, calls: Calls, switchboard: Switchboard, effort: Effort) -> Row:
    variants = {variant: functools.partial(_run, variant, calls, switchboard) for variant in VARIANTS}
    interleaved(variants, 2)  # connections, caches
    found = interleaved(variants, effort.times(REPETITIONS, least=3), effort.seconds(LIMIT_S))
    clock_us = median(found["clock"])
    captured_us = clock_us + _added_us(found["recost"], found["clock"])
    added_us, clock_added_us = (_added_us(found[variant], found["bare"]) for variant in ("recost", "clock"))
    note = f"adds {figure(added_us)} us to a bare call, the clock {figure(clock_added_us)}"
    return Row(name, captured_us, "us", "with a wrapper that reads the clock twice", clock_us, note=note)


def _added_us(samples: list[float], baseline: list[float]) -> float:
    """The median difference of neighbours in time: the machine may have been slower for a while, for both of them."""
    return median([sample - other for sample, other in zip(samples, baseline)])


def _run(variant: str, calls: Calls, switchboard: Switchboard) -> float:
    switchboard.use(variant)
    return calls(CALLS)
