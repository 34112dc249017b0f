"""Workers that are killed and replaced, and what they acknowledged until then.

An *era* is the time between two deaths of a collector.  Each event names its worker's place and its era, so the
account tells around which death something is missing.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from recost.ring.files import UNFINISHED_PREFIX
from tests.faults.offering import Ledger, Offering
from tests.harness import start_child, wait_for_child, wait_until

BURST = 100
"""Events between two looks at the orders."""
FLUSHES = 0.03
"""Share of the bursts after which a worker asks for a flush, which makes the collector try at once."""
FLUSH_S = 0.02
FULL_S = 0.005
END_S = 60.0
UNFINISHED_S = 20.0
"""What a worker leaves that is killed while it makes its ring goes 10 s later, if a collector lives then."""


class Account(NamedTuple):
    """Where the events of one worker go."""

    project: str
    environment: str
    settings: Mapping[str, Any]


class Tally:
    """What workers acknowledged, by place and era, and what the harness tells them. Shared by all processes."""

    def __init__(self, folder: Path, places: int, eras: int) -> None:
        self._eras = eras
        self._acknowledged = Ledger(folder / "acknowledged", places * eras)
        self._burst_eras = Ledger(folder / "bursts", places)
        self._orders = Ledger(folder / "orders", 2)

    def add(self, place: int, era: int) -> None:
        """One more is acknowledged."""
        self._acknowledged.add(place * self._eras + era)

    def begin_burst(self, place: int) -> int:
        """Gives the era that the next events of the place name."""
        era = self._burst_eras.counts[place] = self.era
        return era

    def burst_era(self, place: int) -> int:
        """What the last events of the place named, that one included that may not be noted."""
        return self._burst_eras.counts[place]

    def acknowledged(self, place: int, era: int) -> int:
        return self._acknowledged.counts[place * self._eras + era]

    @property
    def total(self) -> int:
        return self._acknowledged.total

    @property
    def era(self) -> int:
        return self._orders.counts[0]

    def next_era(self) -> None:
        self._orders.add(0)

    @property
    def is_over(self) -> bool:
        """Workers are to see their last events delivered, and to leave."""
        return bool(self._orders.counts[1])

    def end(self) -> None:
        self._orders.add(1)


class Workers:
    """A forked worker in each place, at full speed, replaced when it is killed."""

    def __init__(self, tally: Tally, accounts: list[Account], seed: float) -> None:
        self._tally = tally
        self._accounts = accounts
        self._random = random.Random(seed)
        self._pids: dict[int, int] = {}
        self.killed: Counter[tuple[int, int]] = Counter()
        """By place, and by the era that the victim's last event named."""

    @property
    def deaths(self) -> int:
        return sum(self.killed.values())

    def start(self) -> None:
        for place in range(len(self._accounts)):
            self._begin(place)

    def kill(self, place: int) -> None:
        """SIGKILL, and another one in its place."""
        os.kill(self._pids[place], signal.SIGKILL)
        code = wait_for_child(self._pids.pop(place))
        assert code == -signal.SIGKILL, f"a worker ended by itself with {code}"
        self.killed[place, self._tally.burst_era(place)] += 1
        self._begin(place)

    def leave(self) -> None:
        """Let all see their events delivered and leave. Fails when one does not."""
        self._tally.end()
        while self._pids:
            code = wait_for_child(self._pids.popitem()[1], END_S + UNFINISHED_S)
            assert not code, f"a worker ended with {code}"

    def close(self) -> None:
        """End what is left."""
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
            wait_for_child(pid)

    def _begin(self, place: int) -> None:
        account, seed = self._accounts[place], self._random.random()
        self._pids[place] = start_child(lambda: _work(place, account, self._tally, seed))


def endpoint_of(place: int, era: int) -> str:
    """The path that the events of a place and era have, and so their endpoint."""
    return f"/place-{place}/era-{era}"


def _work(place: int, account: Account, tally: Tally, seed: float) -> None:
    """A worker's life: publish, note, publish; now and then ask for a flush."""
    offering = Offering(project_id=account.project, environment=account.environment, on_error=_hear, **account.settings)
    chance = random.Random(seed)
    while not tally.is_over:
        _offer_burst(offering, place, tally)
        if chance.random() < FLUSHES:
            offering.runtime.flush(FLUSH_S)
    wait_until(lambda: _is_delivered(offering), END_S, "the last events to be delivered")
    wait_until(lambda: not _unfinished(), UNFINISHED_S, "unfinished rings to be removed")
    offering.runtime.dispose(END_S)


def _hear(error: Exception) -> None:
    """Trouble with the endpoint and full rings, all of it made on purpose."""


def _offer_burst(offering: Offering, place: int, tally: Tally) -> None:
    era = tally.begin_burst(place)
    path = endpoint_of(place, era)
    for _ in range(BURST):
        if offering.offer(path):
            tally.add(place, era)
        else:
            time.sleep(FULL_S)


def _is_delivered(offering: Offering) -> bool:
    link = offering.runtime.link
    return link is not None and offering.runtime.flush(1.0) and link.is_delivered(offering.writer.tail)


def _unfinished() -> list[str]:
    """Files of workers that were killed while they made their rings."""
    return [name for name in os.listdir(os.environ["RECOST_RUNTIME_DIR"]) if name.startswith(UNFINISHED_PREFIX)]
