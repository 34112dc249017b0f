"""What one collector takes in while more and more workers call: as fast as they can, and at a steady pace."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from benchmarks.measure import Effort
from benchmarks.place import Place, place, wait_for_heartbeat
from benchmarks.rows import Row
from benchmarks.traffic import an_event, settings
from recost._runtime import Runtime
from recost.ring.layout import DROPPED_FULL, RECORDS

TITLE = "Workers and one collector: events that the rings took; what is full drops, and counts what it dropped"
FLAT_OUT = (1, 2, 4, 8, 16, 32)
STEADY = (1, 8, 32)
CALL_S = 1.5
BURST = 100
STEADY_PER_S = 1000
STEADY_EVERY_S = 0.01


class Tally(msgspec.Struct):
    """Of one worker, or of all."""

    taken: int = 0
    dropped: int = 0
    seconds: float = 0.0


class Run(NamedTuple):
    tally: Tally
    delivered: int


def measure(effort: Effort) -> Iterator[Row]:
    yield from _grow("flat out", FLAT_OUT, 0, effort)
    yield from _grow(f"{STEADY_PER_S} a second each", STEADY, STEADY_PER_S, effort)


def _grow(how: str, sizes: Sequence[int], pace: int, effort: Effort) -> Iterator[Row]:
    first = None
    for workers in sizes[: effort.times(25)]:  # a smoke test makes do with the first
        run = _run(workers, pace, effort.seconds(CALL_S))
        per_s = run.tally.taken / run.tally.seconds
        first = first or per_s
        yield Row(
            f"{_of(workers)}, {how}",
            per_s,
            "/s",
            _of(1),
            first,
            note=_fate(run),
            case={"workers": str(workers), "pace": str(pace)},
            also={"% dropped": 100 * run.tally.dropped / (run.tally.taken + run.tally.dropped)},
        )


def _of(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"


def _fate(run: Run) -> str:
    missing = run.tally.taken - run.delivered
    return "of those taken " + ("all delivered" if not missing else f"{missing:+,} NOT DELIVERED")


def _run(workers: int, pace: int, seconds: float) -> Run:
    with place() as here:
        go, tallies = os.pipe(), os.pipe()
        sys.stdout.flush()
        pids = [_fork(go, tallies, pace, seconds) for _ in range(workers)]
        os.close(go[0])
        os.close(tallies[1])
        with os.fdopen(tallies[0], encoding="ascii") as lines:
            for _ in pids:
                assert lines.readline() == "ready\n"
            os.close(go[1])  # every worker waits for this end
            parts = [msgspec.json.decode(line, type=Tally) for line in lines]
        for pid in pids:
            os.waitpid(pid, 0)
        here.wait_until_idle()
        tally = Tally(sum(p.taken for p in parts), sum(p.dropped for p in parts), max(p.seconds for p in parts))
        return Run(tally, _delivered(here))


def _fork(go: tuple[int, int], tallies: tuple[int, int], pace: int, seconds: float) -> int:
    pid = os.fork()
    if pid == 0:
        _work(go, tallies, pace, seconds)
    return pid


def _work(go: tuple[int, int], tallies: tuple[int, int], pace: int, seconds: float) -> NoReturn:
    """A worker's whole life; ends without a word, as a killed one does."""
    try:
        os.close(go[1])
        runtime = Runtime(settings(on_error=_ignore))  # a full ring is what flat out is about
        runtime.record(an_event())
        assert runtime.ring is not None
        wait_for_heartbeat(runtime.ring)
        os.write(tallies[1], b"ready\n")
        os.read(go[0], 1)
        took_s = _call(runtime, pace, seconds)
        words = runtime.ring.words
        tally = Tally(words[RECORDS], words[DROPPED_FULL], took_s)
        os.write(tallies[1], msgspec.json.encode(tally) + b"\n")
    finally:
        os._exit(0)


def _call(runtime: Runtime, pace: int, seconds: float) -> float:
    """Bursts of calls until the time is up; with a pace, one every ``STEADY_EVERY_S``."""
    burst = round(pace * STEADY_EVERY_S) or BURST
    events = [an_event(number) for number in range(burst)]
    started = next_at = time.monotonic()
    while time.monotonic() - started < seconds:
        for event in events:
            runtime.record(event)
        if pace:
            next_at += STEADY_EVERY_S
            time.sleep(max(0.0, next_at - time.monotonic()))
    return time.monotonic() - started


def _ignore(_error: Exception) -> None:
    pass


def _delivered(here: Place) -> int:
    """Calls in the windows of the local file."""
    lines = Path(here.local, "default.jsonl").read_text("utf-8").splitlines()
    return sum(metric["requestCount"] for line in lines for metric in json.loads(line)["metrics"])
