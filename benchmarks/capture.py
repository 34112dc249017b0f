"""What a captured call costs the thread that makes it."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import recost
from benchmarks.clients import CLIENTS, Calls
from benchmarks.measure import Effort, interleaved, median
from benchmarks.place import place, wait_for_heartbeat
from benchmarks.rows import Row, compare, figure
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
    row = compare(name, found["recost"], "us", "with a wrapper that reads the clock twice", found["clock"])
    return row._replace(note=f"adds {_added(found, 'recost')} us, the clock {_added(found, 'clock')}")


def _added(found: dict[str, list[float]], variant: str) -> str:
    """To a bare call. Of neighbours in time: the machine may have become slower meanwhile, for all of them."""
    return figure(median([sample - bare for sample, bare in zip(found[variant], found["bare"])]))


def _run(variant: str, calls: Calls, switchboard: Switchboard) -> float:
    switchboard.use(variant)
    return calls(CALLS)
