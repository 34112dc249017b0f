"""One try of a row: folders of its own, workers in them, and the account of their calls."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Optional

from recost.leader import LEADER_LOCK, has_leader, read_leader
from recost.paths import runtime_dirs
from tests.faults import led
from tests.faults.disks.told import ANSWER_S, Worker
from tests.faults.offering import Ledger
from tests.faults.row import Trial
from tests.harness import wait_for_child, wait_until

SETTLE_S = LEAD_S = 20.0
IDLE_EXIT_S = 0.3
FLUSH_MS = 200
PROJECT = "shop"
MAX_WORKERS = 512


class Site:
    """The place of a try, entered; whoever works there ends with it."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.place = trial.place()
        self.place.enter()
        os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = str(IDLE_EXIT_S)
        os.environ["RECOST_FLUSH_INTERVAL_MS"] = str(FLUSH_MS)
        os.environ["RECOST_PROJECT_ID"] = PROJECT
        self.ledger = Ledger(self.place.home / "ledger", MAX_WORKERS)
        self.workers: list[Worker] = []
        self._leaders: list[int] = []

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()
        self.wait_until_idle()
        while self._leaders:
            wait_for_child(self._leaders.pop(), SETTLE_S)
        for directory in self.runtimes[1:]:
            shutil.rmtree(directory, ignore_errors=True)

    @property
    def runtimes(self) -> list[str]:
        """The runtime directory, and the one for rings that it does not take."""
        return runtime_dirs()

    @property
    def spool(self) -> Path:
        """The directory of the spool, where nothing keeps it from the state directory."""
        return self.place.state / (self.place.runtime / "spool-id").read_text()

    def hire(self, become: Optional[Callable[[], object]] = None, **settings: Any) -> Worker:
        """A worker; ``become`` runs in it before ``init``."""
        worker = Worker(self.trial, self.place.home, self.ledger, len(self.workers), become, settings)
        self.workers.append(worker)
        return worker

    def hire_many(self, count: int, **settings: Any) -> list[Worker]:
        return [self.hire(**settings) for _ in range(count)]

    def lead(self, prepare: Callable[[], object], runtime: Optional[Path] = None) -> None:
        """A collector that lacks what ``prepare`` takes away in its process. It leaves as one of the workers' does.

        ``runtime``: in another directory than ours.
        """
        directory = str(runtime or self.place.runtime)

        def prepare_there() -> None:
            os.environ["RECOST_RUNTIME_DIR"] = directory
            prepare()

        self._leaders.append(led.start(prepare_there))
        wait_for_leader(directory, timeout_s=LEAD_S)

    def settle(self, project: str = PROJECT) -> None:
        """All leave. As many calls must have arrived then as were acknowledged."""
        self.wait_for_calls(self.ledger.total, project)
        self.leave()
        found = self.arrived(project)
        wanted = self.ledger.total
        self.trial.check(found == wanted, f"acknowledged {wanted:,} calls, {found:,} arrived in {project}.jsonl")

    def wait_for_calls(self, calls: int, project: str = PROJECT) -> None:
        """Until so many have arrived, at most a while: who needs them there looks."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.arrived(project) >= calls, SETTLE_S, "the calls")

    def leave(self) -> None:
        """All workers end without a word, and then the collectors by themselves. Nothing can arrive any more."""
        for worker in self.workers:
            worker.leave()
        self.wait_until_idle()
        while self._leaders:
            wait_for_child(self._leaders.pop(), SETTLE_S)

    def wait_until_idle(self) -> None:
        for directory in self.runtimes:
            with contextlib.suppress(AssertionError):  # the runner names what stays
                wait_until(lambda directory=directory: not leads(directory), SETTLE_S, "the collector to leave")

    def arrived(self, project: str = PROJECT) -> int:
        """Calls in all windows of the project's local file."""
        return sum(self.endpoints(project).values())

    def endpoints(self, project: str = PROJECT) -> Counter[str]:
        """The same by endpoint."""
        found: Counter[str] = Counter()
        for window in self.windows(project):
            for metric in window["metrics"]:
                found[metric["endpoint"]] += metric["requestCount"]
        return found

    def windows(self, project: str = PROJECT) -> list[dict[str, Any]]:
        """Every whole line of the project's local file."""
        file = self.place.local / f"{project}.jsonl"
        text = file.read_text() if file.is_file() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def status(self) -> Status:
        """What ``recost-collector status`` prints."""
        command = [sys.executable, "-m", "recost_collector", "status", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_S)
        self.trial.check("Traceback" not in done.stderr, f"status ends on a fault: {done.stderr[-600:]}")
        return Status(done.returncode, json.loads(done.stdout or "{}"), done.stdout + done.stderr)

    def block_delivery(self) -> None:
        """Nothing can be delivered until ``unblock_delivery``: the local directory is a file."""
        self.place.local.rename(f"{self.place.local}-away")
        self.place.local.write_text("in the way")

    def unblock_delivery(self) -> None:
        self.place.local.unlink()
        Path(f"{self.place.local}-away").rename(self.place.local)


class Status(NamedTuple):
    """How ``recost-collector status`` sees a site."""

    code: int
    found: dict[str, Any]
    text: str

    def total(self, name: str) -> int:
        """A count over the rings that have come and gone, in both runtime directories."""
        places = [self.found, *self.found.get("elsewhere", ())]
        counts: list[int] = [place["totals"].get(name, 0) for place in places if place]
        return sum(counts)

    @property
    def lost(self) -> int:
        """Calls that no ring has kept, of living workers and of those that are gone."""
        places = [self.found, *self.found.get("elsewhere", ())]
        living: list[int] = [ring["lost"] for place in places for ring in place.get("rings", ())]
        return self.total("lost") + sum(living)


def leads(directory: str) -> bool:
    """Whether a collector leads there. Makes nothing."""
    lock = os.path.join(directory, LEADER_LOCK)
    try:
        return os.path.exists(lock) and has_leader(directory)
    except OSError:  # it was removed just now
        return False


def wait_for_leader(directory: str, other_than: int = 0, timeout_s: float = 15.0) -> int:
    """The pid of the collector that leads there, once one does that is not ``other_than``."""

    def look() -> int:
        found = read_leader(directory)
        return found.pid if found is not None and found.is_alive() and found.pid != other_than else 0

    return wait_until(look, timeout_s, "a leader")


def kill_leader(directory: str) -> int:
    """SIGKILL for the collector that leads there; its pid. Another one may lead by then."""
    pid, killed = wait_for_leader(directory), read_leader(directory)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not leads(directory) or read_leader(directory) != killed, 10, "the killed collector's lock")
    return pid
