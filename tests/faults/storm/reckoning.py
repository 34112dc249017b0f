"""What a kill storm came to: what was acknowledged against what arrived, and what stayed behind."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from recost.leader import LEADER_INFO, LEADER_LOCK, SPAWN_LOCK, open_lock
from recost.system import try_lock
from recost_collector.process import LOG_FILE
from recost_collector.spool import SPOOL_FILE
from recost_collector.spool_place import ID_FILE, LOCK_FILE
from tests.faults.row import Place
from tests.faults.storm.endpoint import Arrived
from tests.faults.storm.killed_workers import Account, Tally, endpoint_of

IN_RUNTIME = {LEADER_LOCK, SPAWN_LOCK, LEADER_INFO, ID_FILE}
"""What belongs to a runtime directory for good: the election's files, locked by nobody, and the name of the spool."""
IN_SPOOL = {SPOOL_FILE, LOCK_FILE}
FAULT = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) .*|^Traceback.*", re.MULTILINE)


class Outcome(msgspec.Struct):
    """What came of one storm."""

    violations: list[str] = []
    acknowledged: int = 0
    unnoted: int = 0
    """Published by a worker that was killed before it could note it."""
    short: int = 0
    """Eras of which something is missing: about as many deaths of collectors lost it."""
    frames: int = 0
    repeats: int = 0
    takeovers: int = 0
    seconds: float = 0.0
    """For as long as something was killed."""


def reckon(
    outcome: Outcome, tally: Tally, accounts: Sequence[Account], killed: Mapping[tuple[int, int], int], arrived: Arrived
) -> None:
    """Hold what arrived against the tally, by session, place and era. ``killed``: workers, by place and era."""
    outcome.acknowledged = tally.total
    outcome.frames, outcome.repeats = arrived.frames, arrived.repeats
    outcome.violations += arrived.odd
    short = set()
    for place, era in itertools.product(range(len(accounts)), range(tally.era + 1)):
        account, kills = accounts[place], killed.get((place, era), 0)
        found = arrived.calls.pop((account.project, account.environment, endpoint_of(place, era)), 0)
        beyond = found - tally.acknowledged(place, era)
        if not 0 <= beyond <= kills:
            where = f"{account.project}, {account.environment}, worker {place}, killed {kills} times in era {era}"
            outcome.violations.append(f"{where}: {tally.acknowledged(place, era):,} acknowledged, {found:,} arrived")
        if beyond < 0:
            short.add(era)
        outcome.unnoted += max(0, beyond)
    outcome.short = len(short)
    outcome.violations += [
        f"{calls:,} calls arrived as {name}, where nobody is" for name, calls in arrived.calls.items()
    ]


def find_leftovers(place: Place) -> list[str]:
    """What is there when all have left, and should not be; faults in the collectors' log."""
    spools = [folder for folder in place.state.iterdir() if folder.is_dir()]
    found = [
        *_beyond(place.runtime, IN_RUNTIME),
        *_beyond(place.state, {LOG_FILE, f"{LOG_FILE}.1", (place.runtime / ID_FILE).read_text()}),
        *(text for spool in spools for text in _beyond(spool, IN_SPOOL)),
        *(f"{name} is still locked" for name in (LEADER_LOCK, SPAWN_LOCK) if _is_locked(place.runtime, name)),
        *(f"{spool / LOCK_FILE} is still locked" for spool in spools if _is_locked(spool, LOCK_FILE)),
    ]
    logs = [place.state / LOG_FILE, place.state / f"{LOG_FILE}.1"]
    said = "".join(log.read_text(errors="replace") for log in logs if log.exists())
    return found + [f"the collectors' log says: {line}" for line in FAULT.findall(said)]


def _beyond(folder: Path, expected: set[str]) -> list[str]:
    return [f"left behind in {folder.name}: {name}" for name in sorted(os.listdir(folder)) if name not in expected]


def _is_locked(folder: Path, name: str) -> bool:
    fd = open_lock(str(folder), name)
    try:
        return not try_lock(fd)
    finally:
        os.close(fd)
