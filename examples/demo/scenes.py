"""What happens to the help desk while it is visited: a worker is killed, and the collector."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from examples.demo.place import Place
from examples.demo.server import Killed, Server

WORKER_AT, COLLECTOR_AT = 0.35, 0.6
"""Shares of the time of load."""


class Scenes:
    """One after the other, each tried again until it succeeds."""

    def __init__(self, place: Place, server: Server, load_s: float, say: Callable[[str], None]) -> None:
        self.killed: list[Killed] = []
        self._place = place
        self._server = server
        self._say = say
        self._killed_collector = 0
        self._killed_at = 0.0
        self._left = [
            (WORKER_AT * load_s, self._kill_worker),
            (COLLECTOR_AT * load_s, self._kill_collector),
            (COLLECTOR_AT * load_s, self._meet_new_collector),
        ]

    @property
    def waits_for(self) -> str:
        """What is still to happen; empty when all has."""
        return "" if not self._left else self._left[0][1].__name__.strip("_").replace("_", " ")

    def turn(self, elapsed_s: float) -> None:
        """Play the next scene if its time has come."""
        if self._left and elapsed_s >= self._left[0][0] and self._left[0][1]():
            self._left.pop(0)

    def _kill_worker(self) -> bool:
        killed = self._server.kill_busy_worker()
        if killed is None:
            return False
        self.killed.append(killed)
        self._say(f"SIGKILL to worker {killed.pid}, with {sum(killed.in_flight.values())} calls in flight")
        return True

    def _kill_collector(self) -> bool:
        leader = self._place.collector()
        if leader is None:
            return False
        self._killed_collector, self._killed_at = leader.pid, time.monotonic()
        os.kill(leader.pid, signal.SIGKILL)
        self._say(f"SIGKILL to the collector, {leader.pid}")
        return True

    def _meet_new_collector(self) -> bool:
        leader = self._place.collector()
        if leader is None or leader.pid == self._killed_collector:
            return False
        after_s = time.monotonic() - self._killed_at
        self._say(f"collector {leader.pid} goes on, started by a worker {after_s:.1f} s later")
        return True
