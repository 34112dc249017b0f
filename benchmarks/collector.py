"""How many events a collector takes in: drain, decode, classify, count, commit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks.measure import NS_PER_US, Effort, interleaved, median, quartiles
from benchmarks.mixes import MIXES, payloads
from benchmarks.place import place
from benchmarks.rows import Row
from benchmarks.traffic import WorkerRing
from recost.event import decode
from recost_collector.leading import Leadership, lead

TITLE = "The collector's intake on one core: CPU of all its threads, with the commits, for full rings of 1 MiB"
SIZES = (1, 4, 32)
LIMIT_S = 4.0
"""Of one mix and number of rings."""
LEAST_EVENTS = 40_000
"""Of one sample. One ring is filled several times for it: what does not come with every fill, as a window's closing,
would be in few samples otherwise, and in no median."""


def measure(effort: Effort) -> Iterator[Row]:
    for mix in MIXES:
        records = payloads(mix)
        for size in SIZES[: effort.times(15)]:  # a smoke test makes do with the first
            with place() as here:
                rings = [WorkerRing(here.runtime) for _ in range(size)]
                leadership = lead(here.runtime, "thread", 1.0)
                assert leadership is not None
                yield _row(mix, records, leadership, rings, effort)
                for ring in rings:
                    ring.leave()
                leadership.finish(5.0)


def _row(
    mix: str, records: Sequence[bytes], leadership: Leadership, rings: Sequence[WorkerRing], effort: Effort
) -> Row:
    variants = {
        "intake": partial(_intake_us, leadership, rings, records),
        "decode": partial(_decode_us, records),
    }
    found = interleaved(variants, effort.times(20, least=2), effort.seconds(LIMIT_S))
    per_s = sorted(1e6 / took_us for took_us in found["intake"])
    of = f"{len(rings)} ring{'s' if len(rings) > 1 else ''}"
    return Row(
        f"{mix}, {of}",
        median(per_s),
        "events/s",
        "msgspec decoding them",
        1e6 / median(found["decode"]),
        quartiles=quartiles(per_s),
        case={"mix": mix, "rings": str(len(rings))},
        also={"us an event": 1e6 / median(per_s)},
    )


def _intake_us(leadership: Leadership, rings: Sequence[WorkerRing], records: Sequence[bytes]) -> float:
    events = took_ns = 0
    while events < LEAST_EVENTS:
        events += sum(ring.fill(records) for ring in rings)
        started_ns = time.process_time_ns()
        while not all(ring.is_drained for ring in rings):
            leadership.turn(time.monotonic())
            leadership.wake.wait(leadership.service.pause_s)  # as a collector does between two turns
        took_ns += time.process_time_ns() - started_ns
    return took_ns / events / NS_PER_US


def _decode_us(records: Sequence[bytes]) -> float:
    started_ns = time.process_time_ns()
    for payload in records:
        decode(payload)
    return (time.process_time_ns() - started_ns) / len(records) / NS_PER_US
