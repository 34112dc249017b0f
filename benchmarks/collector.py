"""How many events a collector takes in: drain, decode, classify, count, commit."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.measure import NS_PER_US, Effort, interleaved, median
from benchmarks.place import place
from benchmarks.rows import Row
from benchmarks.traffic import WorkerRing, an_event
from recost.event import decode, encode
from recost_collector.leading import Leadership, lead

TITLE = "The collector's intake: CPU of all its threads, with the commit, for full rings of 1 MiB"
RINGS = 4
DECODED = 2000


def measure(effort: Effort) -> Iterator[Row]:
    with place() as here:
        rings = [WorkerRing(here.runtime) for _ in range(RINGS)]
        leadership = lead(here.runtime, "thread", 1.0)
        assert leadership is not None
        payloads = [encode(an_event(number)) for number in range(DECODED)]
        variants = {
            "intake": lambda: _intake_us(leadership, rings),
            "decode": lambda: _decode_us(payloads),
        }
        found = interleaved(variants, effort.times(20, least=2), effort.seconds(8))
        for ring in rings:
            ring.leave()
        leadership.finish(5.0)
    intake_us, decode_us = median(found["intake"]), median(found["decode"])
    yield Row("an event", intake_us, "us", "msgspec decoding it", decode_us)
    yield Row("events on one core", 1e6 / intake_us, "/s", "msgspec decoding them", 1e6 / decode_us)


def _intake_us(leadership: Leadership, rings: list[WorkerRing]) -> float:
    events = sum(ring.fill() for ring in rings)
    started_ns = time.process_time_ns()
    while not all(ring.is_drained for ring in rings):
        leadership.turn(time.monotonic())
    return (time.process_time_ns() - started_ns) / events / NS_PER_US


def _decode_us(payloads: list[bytes]) -> float:
    started_ns = time.process_time_ns()
    for payload in payloads:
        decode(payload)
    return (time.process_time_ns() - started_ns) / len(payloads) / NS_PER_US
