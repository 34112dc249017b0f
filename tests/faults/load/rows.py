"""Load that lasts: the collector's memory and its CPU for an event stay what they were.

Three kinds of it: workers at full speed, two thousand endpoints in each window, and sessions that come and go by the
thousand (``passing``).
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from recost.event import CallEvent, encode
from recost_collector.open_window import OpenWindow
from recost_collector.source import Source
from tests.faults.load import passing
from tests.faults.load.loading import Load, collector_without, grown, judge
from tests.faults.load.watching import Growth
from tests.faults.offering import HOST, Ledger, Offering
from tests.faults.row import Row, Trial
from tests.harness import wait_until

ENDPOINTS = 2000
"""As many as a window may hold."""
CONTROL_CALLS = 200_000
"""Of each worker. Were they kept, they would take 40 MiB."""
UNIT = ("100,000 events", 100_000)
BOUND = Growth(4096, descriptors=8, files=4, state_files=4, kept_rows=8, waiting_rows=64, spool_kib=4096)


def offer_at_full_speed(seconds: float, ledger: Ledger, slot: int) -> None:
    _offer(ledger, slot, _for(seconds), itertools.repeat("/v1/things"))


def offer_so_many(count: int, ledger: Ledger, slot: int) -> None:
    _offer(ledger, slot, lambda: ledger.counts[slot] >= count, itertools.repeat("/v1/things"))


def offer_many_endpoints(seconds: float, ledger: Ledger, slot: int) -> None:
    paths = itertools.cycle([f"/v1/things-of-kind-{number}" for number in range(ENDPOINTS)])
    _offer(ledger, slot, _for(seconds), paths, flush_interval_ms=200, normalize_paths=False)


def _for(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def _offer(ledger: Ledger, slot: int, is_over: Callable[[], bool], paths: Iterator[str], **settings: Any) -> None:
    """Publish without a pause, with latencies that differ."""
    offering = Offering(**settings)
    wait_until(offering.offer)
    ledger.add(slot)
    writer = offering.writer
    durations = itertools.cycle(range(1_000_000, 900_000_000, 7_654_321))
    while not is_over():
        event = CallEvent(time.time_ns(), next(durations), "GET", "https", HOST, next(paths), 200, 10, 20)
        if writer.offer(encode(event)):
            ledger.add(slot)
        else:
            time.sleep(0.001)


def run_peak(trial: Trial) -> None:
    """Workers at full speed, a window each 30 s; the control keeps what it has read."""
    looks = Load(trial, 3).run(functools.partial(offer_at_full_speed, trial.size(4.0, 50.0)), trial.tried)
    judge(trial, looks, BOUND, UNIT)
    load = Load(trial, 2)
    with collector_without(letting_go_of_records):
        looks = load.run(functools.partial(offer_so_many, CONTROL_CALLS))
    trial.controlled("letting go of what was read", len(grown(looks, BOUND)), len(BOUND))


def run_endpoints(trial: Trial) -> None:
    """Full windows five times a second; the control keeps those that are closed, and their frames."""
    looks = Load(trial, 2).run(functools.partial(offer_many_endpoints, trial.size(4.0, 50.0)), trial.tried)
    judge(trial, looks, BOUND, UNIT)
    load = Load(trial, 2)
    with collector_without(letting_go_of_windows):
        looks = load.run(functools.partial(offer_many_endpoints, 4.0))
    trial.controlled("letting go of closed windows", len(grown(looks, BOUND)), len(BOUND))


def letting_go_of_records() -> None:
    kept = []
    drain = Source.drain

    def drain_and_keep(self, max_bytes):
        records = drain(self, max_bytes)
        kept.extend(records)
        return records

    Source.drain = drain_and_keep  # type: ignore[method-assign]


def letting_go_of_windows() -> None:
    kept = []
    close = OpenWindow.close

    def close_and_keep(self, wall_ns, next_id):
        window = self._counts.committed  # closing adds the rest to it
        frames = close(self, wall_ns, next_id)
        kept.append((window, [frame.body for frame in frames]))
        return frames

    OpenWindow.close = close_and_keep  # type: ignore[method-assign]


ROWS = [
    Row("load.peak", "workers at full speed: the collector's memory and its CPU for an event stay flat", run_peak),
    Row("load.endpoints", "2,000 endpoints in each window: the same", run_endpoints),
    Row(
        "load.sessions",
        "thousands of sessions come and go: the same, and files and rows too; every call arrives, nothing stays",
        passing.run,
        limit_s=(90.0, 900.0),
    ),
]
