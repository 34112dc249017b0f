"""How a host stops: PID 1 of a container ends and everything with it, or systemd signals a service (``sigterm``)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import NamedTuple

from tests.faults.offering import Ledger
from tests.faults.row import Row, Trial
from tests.faults.shutdown import pid_one, sigterm
from tests.faults.spawning import start_collector
from tests.processes.support import counts, wait_until_idle

IDLE_EXIT_S = "0.3"
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
END_S = 30.0


class Missing(NamedTuple):
    """Acknowledged calls that had not arrived, by path."""

    at_the_end: dict[str, int]
    """When the last process was gone."""
    after_a_start: dict[str, int]
    """When a collector that was started afterwards had left."""


def run(trial: Trial) -> None:
    """PID 1 ends; the control does not wait at its exit."""
    command = _namespace(trial)
    tries = trial.size(2, 20)
    trial.plan(tries)
    for _ in range(tries):
        missing = _end_container(trial, command)
        waited_for = (pid_one.FIRST, pid_one.ENDING)
        lost = {path: missing.at_the_end[path] for path in waited_for if missing.at_the_end.get(path)}
        trial.check(not lost, f"PID 1 had ended and of its calls were missing: {lost}")
        trial.tried()
    tries = trial.size(1, 4)
    wrong = sum(
        bool(_end_container(trial, command, RECOST_SHUTDOWN_FLUSH_TIMEOUT_MS="0").at_the_end) for _ in range(tries)
    )
    trial.controlled("the wait at exit", wrong, tries)


def _namespace(trial: Trial) -> list[str]:
    """The command that runs another as PID 1 of a new pid namespace."""
    command = [*NAMESPACE] if os.geteuid() == 0 else [*NAMESPACE, "--user", "--map-root-user"]
    if shutil.which(command[0]) is None:
        trial.skip("needs unshare, of util-linux")
    probe = subprocess.run([*command, "true"], check=False, capture_output=True, text=True)
    if probe.returncode:
        trial.skip(f"needs a pid namespace: {probe.stderr.strip()}")
    return command


def _end_container(trial: Trial, command: list[str], **environ: str) -> Missing:
    """One container comes and goes; then somebody starts a collector. Nothing may be missing after that."""
    place = trial.place()
    place.enter()
    os.environ["RECOST_COLLECTOR_IDLE_EXIT_S"] = IDLE_EXIT_S
    calls = trial.random.randrange(1, 400)
    ledger = Ledger(place.home / "ledger", len(pid_one.PATHS))
    arguments = [sys.executable, "-m", "tests.faults.shutdown.pid_one", str(place.home / "ledger"), str(calls)]
    ended = subprocess.run([*command, *arguments], check=False, env={**os.environ, **environ}, timeout=END_S)
    trial.check(ended.returncode == 0, f"PID 1 ended with {ended.returncode}")
    at_the_end = _missing(ledger)
    start_collector()
    wait_until_idle()
    missing = Missing(at_the_end, _missing(ledger))
    trial.check(not missing.after_a_start, f"missing after the next collector's work: {missing.after_a_start}")
    return missing


def _missing(ledger: Ledger) -> dict[str, int]:
    """Negative: more than was acknowledged."""
    arrived = counts()
    differences = {path: ledger.counts[slot] - arrived[path] for slot, path in enumerate(pid_one.PATHS)}
    return {path: missing for path, missing in differences.items() if missing}


ROWS = [
    Row(
        "shutdown.namespace",
        "PID 1 of a pid namespace ends: its final window is delivered before, the rest after the next start",
        run,
        limit_s=(60.0, 400.0),
    ),
    Row(
        "shutdown.group-sigterm",
        "SIGTERM to workers and collector at once: the final windows are delivered, the collector leaves after them",
        sigterm.run,
        limit_s=(60.0, 400.0),
    ),
]
