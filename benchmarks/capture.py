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
CALLS = 20
"""In a row, before the next variant has its turn: about a millisecond or two."""


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
    found = interleaved(variants, effort.times(250, least=3))
    bare, clock, captured = (median(found[variant]) for variant in VARIANTS)
    note = f"adds {figure(captured - bare)} us, the clock {figure(clock - bare)}"
    return Row(name, captured, "us", "with a wrapper that reads the clock twice", clock, note=note)


def _run(variant: str, calls: Calls, switchboard: Switchboard) -> float:
    switchboard.use(variant)
    return calls(CALLS)
