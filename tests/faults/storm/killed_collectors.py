"""Collectors that are killed, while they start or while they lead, and replaced."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Optional

from recost import _killing
from recost._spawn import Spawned, start_collector
from recost.leader import Leader, read_leader
from recost.origins import process_start
from recost.ring.files import RING_PREFIX, RingFile, open_ring
from recost.ring.layout import HEAD, BadRing
from recost_collector.exporters import load_exporters
from tests.collector.hasty import release_before_commit
from tests.faults import led
from tests.harness import POLL_S, wait_until

LEFT_TO_WORKERS_S = 5.0
"""Workers look once a second."""
LEADER_S = 30.0
HEADS_S = 1.0


class Collectors:
    """The collectors of the place that was entered, started as a worker starts them. Any worker may be faster."""

    started_by_workers = "auto"

    def __init__(self) -> None:
        self.directory = os.environ["RECOST_RUNTIME_DIR"]
        self._launched = f"/launch.py\0{self.directory}\0".encode()
        self._started: list[Spawned] = []
        self._dead: set[tuple[int, int]] = set()

    def start(self) -> None:
        """Start one unless one leads or starts up."""
        self._started = [one for one in self._started if not one.reap()]
        started = start_collector(self.directory)
        if started is not None:
            started.leave()
            self._started.append(started)

    def leader(self) -> Optional[Leader]:
        """Who leads, if somebody does who was not killed."""
        found = read_leader(self.directory)
        alive = found is not None and (found.pid, found.process_start) not in self._dead and found.is_alive()
        return found if alive else None

    def wait_for_leader(self) -> Leader:
        """Left to the workers at first, who notice once a second."""
        since = time.monotonic()
        while time.monotonic() < since + LEADER_S:
            found = self.leader()
            if found is not None:
                return found
            if time.monotonic() > since + LEFT_TO_WORKERS_S:
                self.start()
            time.sleep(POLL_S / 2)
        raise AssertionError(f"no collector leads for {LEADER_S:g} s")

    def wait_for_heads(self) -> None:
        """Until the leader moves the head of some ring, which it does right after a commit; at most a second."""
        rings = list(self._rings())
        heads = [ring.words[HEAD] for ring in rings]
        until = time.monotonic() + HEADS_S
        while [ring.words[HEAD] for ring in rings] == heads and time.monotonic() < until:
            time.sleep(POLL_S / 100)
        for ring in rings:
            ring.close()

    def living(self) -> list[int]:
        """Those that start up, lead or leave; a middle process as well."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_ours(pid)]

    def kill(self, pid: int) -> None:
        started_at = process_start(pid)
        self._dead.add((pid, started_at))
        _killing.kill(pid, started_at)

    def close(self) -> None:
        """Nobody is left to start another one: end those that live, and reap."""
        for pid in self.living():
            self.kill(pid)
        wait_until(lambda: all(one.reap() for one in self._started), 10, "the middle processes")

    def _rings(self) -> Iterator[RingFile]:
        for name in os.listdir(self.directory):
            if name.startswith(RING_PREFIX):
                with contextlib.suppress(OSError, BadRing):  # reaped just now
                    yield open_ring(os.path.join(self.directory, name))

    def _is_ours(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                is_ours = self._launched in file.read()
            return is_ours and (pid, process_start(pid)) not in self._dead
        except OSError:  # gone
            return False


class HastyCollectors(Collectors):
    """The control: heads move before the commit. Only the harness starts one, a fork of its own."""

    started_by_workers = "external"

    def __init__(self) -> None:
        super().__init__()
        self._pid = 0
        load_exporters()  # here, or every fork does it

    def start(self) -> None:
        self._reap()
        if not self._pid:
            self._pid = led.start(release_before_commit)

    def living(self) -> list[int]:
        self._reap()
        return [self._pid] if self._pid else []

    def kill(self, pid: int) -> None:
        super().kill(pid)
        wait_until(lambda: not self.living(), 10, "the killed collector to be gone")

    def _reap(self) -> None:
        if self._pid and os.waitpid(self._pid, os.WNOHANG)[0]:
            self._pid = 0
