"""One kill storm: workers at full speed, a collector and an endpoint, each killed and replaced over and over.

A round kills a worker and a collector, now and then the endpoint, in any order and at moments that chance picks.
After the last one nothing is killed any more: what was acknowledged must arrive, exactly, and nothing stay behind.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Callable

import msgspec

from recost.leader import read_leader
from tests.faults.row import Place
from tests.faults.storm.endpoint import FAULTY, HEALTHY, Endpoint
from tests.faults.storm.killed_collectors import Collectors, HastyCollectors
from tests.faults.storm.killed_workers import Account, Tally, Workers
from tests.faults.storm.reckoning import Outcome, find_leftovers, reckon
from tests.harness import wait_until

RING_BYTES = 64 << 10
"""The smallest: they are full as soon as no collector takes from them."""
IDLE_EXIT_S = "0.3"
FLUSH_MS = 250
END_S = 60.0

START_S = 0.25
"""About what a collector takes to lead."""
REIGN_S = 0.12
"""How long a collector leads on average before it is killed."""
HASTE_S = 0.1
INFANCY_S = 0.02
"""In which a worker makes its ring and publishes for the first time."""
INFANTS = 0.2
"""Share of the worker kills that meet one of that age."""
UNBORN = 0.3
"""Share of the collector kills that may meet one that does not lead yet."""
AIMED = 0.5
"""Share of the kills of those that lead which come right after a head has moved, and not just anywhen."""
ORPHANED = 0.15
"""Share of the collector kills after which the workers have to start the next one."""


class Plan(msgspec.Struct):
    """How much one storm kills."""

    workers: int
    collectors: int
    endpoints: int
    hasty: bool = False
    """The control: collectors whose heads move before the commit."""

    @property
    def kills(self) -> int:
        return self.workers + self.collectors + self.endpoints


class Storm:
    """In a process of its own, which has entered the place."""

    def __init__(self, place: Place, plan: Plan, seed: float, on_kill: Callable[[], None]) -> None:
        os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = IDLE_EXIT_S
        self._place = place
        self._plan = plan
        self._random = random.Random(seed)
        self._on_kill = on_kill
        self._collectors = HastyCollectors() if plan.hasty else Collectors()
        self._endpoint = Endpoint(place.home / "endpoint", self._random.random())
        self._accounts = list(self._make_accounts())
        self._tally = Tally(place.home, len(self._accounts), eras=plan.collectors + 1)
        self._workers = Workers(self._tally, self._accounts, self._random.random())
        self.outcome = Outcome()

    def run(self) -> None:
        """Fails where something does not happen in time; what is wrong in the end is in ``outcome``."""
        began_at = time.monotonic()
        with ExitStack() as at_end:
            at_end.enter_context(self._endpoint).start(FAULTY)
            at_end.callback(self._collectors.close)
            at_end.callback(self._workers.close)
            self._workers.start()
            self._collectors.start()
            for number in range(max(self._plan.workers, self._plan.collectors)):
                self._round(number)
            self.outcome.seconds = time.monotonic() - began_at
            self._calm_down()
        reckon(self.outcome, self._tally, self._accounts, self._workers.killed, self._endpoint.arrived())
        self.outcome.violations += find_leftovers(self._place)

    def _make_accounts(self) -> Iterator[Account]:
        """Two projects, one of them in two environments: three sessions, one of which two workers share."""
        for project, environment, max_retries in (
            ("shop", "production", 3),
            ("shop", "staging", 0),
            ("desk", "production", 1),
            ("desk", "production", 1),
        ):
            settings = {
                "api_key": f"rc-{project}-0123456789abcdef",
                "base_url": self._endpoint.url,
                "flush_interval_ms": FLUSH_MS,
                "max_retries": max_retries,
                "ring_bytes": RING_BYTES,
                "normalize_paths": False,
                "collector": self._collectors.started_by_workers,
            }
            yield Account(project, environment, settings)

    def _round(self, number: int) -> None:
        deaths = [self._kill_workers, self._kill_collector, self._kill_endpoint]
        self._random.shuffle(deaths)
        for kill in deaths:
            kill(number)
        if not self._endpoint.is_alive:
            self._endpoint.start(FAULTY)

    def _kill_workers(self, number: int) -> None:
        """As many as are due by this round: one, none or two, the second one just born."""
        while self._workers.deaths < min(number + 1, self._plan.workers):
            self._pause(HASTE_S)
            place = self._random.randrange(len(self._accounts))
            self._kill_worker(place)
            if self._workers.deaths < self._plan.workers and self._happens(INFANTS):
                self._pause(INFANCY_S)
                self._kill_worker(place)

    def _kill_worker(self, place: int) -> None:
        self._workers.kill(place)
        self._on_kill()

    def _kill_collector(self, number: int) -> None:
        if number >= self._plan.collectors:
            return
        self._collectors.kill(self._pick_collector())
        self._on_kill()
        self._tally.next_era()
        if self._plan.hasty or not self._happens(ORPHANED):
            wait_until(self._is_succeeded, END_S, "the killed collector to be gone")

    def _pick_collector(self) -> int:
        if self._happens(UNBORN):
            self._pause(START_S)
            living = self._collectors.living()
            if living:
                return self._random.choice(living)
        pid = self._collectors.wait_for_leader().pid
        time.sleep(self._random.expovariate(1 / REIGN_S))
        if self._happens(AIMED):
            self._collectors.wait_for_heads()
        return pid

    def _is_succeeded(self) -> bool:
        """Another one starts up, or leads already."""
        self._collectors.start()
        return bool(self._collectors.living())

    def _kill_endpoint(self, number: int) -> None:
        """In evenly spread rounds. It stays away for the rest of the round."""
        rounds = max(self._plan.workers, self._plan.collectors)
        if number * self._plan.endpoints // rounds == (number + 1) * self._plan.endpoints // rounds:
            return
        self._pause(HASTE_S)
        self._endpoint.kill()
        self._on_kill()

    def _calm_down(self) -> None:
        """Nothing fails any more: everything is delivered, and all leave in good order."""
        self._endpoint.kill()
        self._endpoint.start(HEALTHY)
        self._collectors.start()
        self._collectors.wait_for_leader()
        self._workers.leave()
        wait_until(lambda: not self._collectors.living(), END_S, "the collector to leave")
        last = read_leader(self._collectors.directory)
        self.outcome.takeovers = 0 if last is None else last.epoch - 1

    def _pause(self, most_s: float) -> None:
        time.sleep(self._random.uniform(0, most_s))

    def _happens(self, share: float) -> bool:
        return self._random.random() < share
