"""The kill storm, end to end: workers, collectors and a faulty endpoint are killed at random, and nothing is lost.

Several storms go on side by side, each in a process and folders of its own: while one waits for a collector to start,
another has the processor.  One of them is the control.
"""

from __future__ import annotations

import os
import time
import traceback
from typing import NamedTuple

import msgspec

from tests.faults.offering import Ledger
from tests.faults.row import Place, Row, Trial
from tests.faults.storm.reckoning import Outcome
from tests.faults.storm.storming import Plan, Storm
from tests.harness import POLL_S, start_child

QUICK = Plan(workers=100, collectors=100, endpoints=6)
FULL = Plan(workers=2000, collectors=2000, endpoints=100)
CONTROL = Plan(workers=0, collectors=60, endpoints=3, hasty=True)
OUTCOME = "outcome.json"


class Running(NamedTuple):
    """A storm under way."""

    place: Place
    pid: int


def storm(trial: Trial) -> None:
    """Let the storms rage, then add up."""
    whole = _as_wished(trial)
    plans = [*_shares(whole, trial.size(2, 3)), CONTROL]
    trial.plan(whole.kills)
    kills = Ledger(trial.disk / "kills", len(plans))
    running = [_start(trial, plan, kills, slot) for slot, plan in enumerate(plans)]
    _watch(trial, running, kills)
    *outcomes, control = [_outcome(one) for one in running]
    for number, outcome in enumerate(outcomes, 1):
        for text in outcome.violations:
            trial.violated(f"storm {number}: {text}")
    if not control.short:
        trial.violated(f"the control lost nothing: {control.violations}")
    trial.controlled("the commit before the heads", control.short, CONTROL.collectors)
    _tell(trial, outcomes)


def _as_wished(trial: Trial) -> Plan:
    plan = trial.size(QUICK, FULL)
    if trial.kills is None:
        return plan
    return Plan(trial.kills, trial.kills, max(1, round(trial.kills * plan.endpoints / plan.workers)))


def _shares(whole: Plan, storms: int) -> list[Plan]:
    """``whole`` in parts that differ by one kill of a kind at most."""
    parts = min(storms, whole.workers)
    return [
        Plan((whole.workers + first) // parts, (whole.collectors + first) // parts, (whole.endpoints + first) // parts)
        for first in range(parts)
    ]


def _start(trial: Trial, plan: Plan, kills: Ledger, slot: int) -> Running:
    place, seed = trial.place(), trial.random.random()
    return Running(place, start_child(lambda: _rage(place, plan, seed, kills, slot)))


def _rage(place: Place, plan: Plan, seed: float, kills: Ledger, slot: int) -> None:
    """In a process of its own."""
    place.enter()
    raging = Storm(place, plan, seed, lambda: kills.add(slot))
    try:
        raging.run()
    except Exception:  # noqa: BLE001 - whatever it was, the promise was not kept
        raging.outcome.violations.append(traceback.format_exc(limit=-4))
    (place.home / OUTCOME).write_bytes(msgspec.json.encode(raging.outcome))


def _watch(trial: Trial, running: list[Running], kills: Ledger) -> None:
    """Until all have ended. The control's kills are not tries."""
    left = {one.pid for one in running}
    while left:
        left = {pid for pid in left if not os.waitpid(pid, os.WNOHANG)[0]}
        trial.tried(sum(kills.counts[: len(running) - 1]) - trial.verdict.tries)
        time.sleep(POLL_S)


def _outcome(one: Running) -> Outcome:
    file = one.place.home / OUTCOME
    return msgspec.json.decode(file.read_bytes(), type=Outcome) if file.exists() else Outcome(["ended without a word"])


def _tell(trial: Trial, outcomes: list[Outcome]) -> None:
    acknowledged = sum(outcome.acknowledged for outcome in outcomes)
    seconds = max(outcome.seconds for outcome in outcomes)
    per_second = acknowledged / seconds if seconds else 0
    trial.figure(f"{acknowledged:,} events acknowledged, {per_second:,.0f}/s")
    trial.figure(f"{sum(outcome.unnoted for outcome in outcomes):,} published by a worker killed before it noted it")
    trial.figure(f"{sum(outcome.frames for outcome in outcomes):,} windows")
    trial.figure(f"{sum(outcome.repeats for outcome in outcomes):,} repeat deliveries removed by their key")
    trial.figure(f"{sum(outcome.takeovers for outcome in outcomes):,} takeovers")


ROWS = [
    Row(
        "storm",
        "workers, collectors, endpoint killed at random: what is acknowledged arrives, once; nothing stays behind",
        storm,
        (120.0, 1500.0),
    ),
]
