"""How rings, spool and delivery stand: all that ``recost-collector status`` tells, in fields that are a contract."""

from __future__ import annotations

from typing import Optional

import msgspec

from recost.leader import Leader
from recost_collector.figures import as_json
from recost_collector.open_spend import Spend


class Trouble(msgspec.Struct):
    """Something that is not well. ``mend``: what to do about it; may be empty."""

    text: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.mend}" if self.mend else self.text


class RingStatus(msgspec.Struct):
    """One ring. ``alive`` is None where its process is in another pid namespace."""

    name: str
    pid: int
    alive: Optional[bool]
    project: str
    environment: str
    destination: str
    sdk_version: str
    recorded: int
    backlog_bytes: int
    capacity_bytes: int
    dropped: int
    faults: int
    lost: int = 0
    """Calls of its process that no ring has kept: an earlier one was damaged, or none could be made."""


class DestinationStatus(msgspec.Struct):
    """What waits for one destination, and when something last arrived there."""

    destination: str
    waiting: int
    waiting_bytes: int
    parked: int
    delivered: int
    delivered_at_ms: int
    dropped: int
    auth_failures: int
    suspended: bool
    wait_until_ms: int
    last_error: str
    last_error_at_ms: int
    parked_reasons: list[str] = []
    """Why the parked windows are, each reason once, the most frequent first."""
    last_kind: str = ""
    """What kind of trouble ``last_error`` was: as in ``recost.notice``."""


class Status(msgspec.Struct):
    """All that ``status --json`` prints; fields are only ever added. Times: ms since the epoch."""

    runtime_dir: str
    leader: Optional[Leader]
    leading: bool
    beating: Optional[bool]
    """None when there is no ring to see it by."""
    rings: list[RingStatus]
    refused: dict[str, str]
    destinations: list[DestinationStatus]
    totals: dict[str, int]
    """Of all rings that have come and gone: recorded, dropped_full, dropped_big, lost, undecodable, faults; and
    dropped_windows, of destinations that are forgotten since."""
    open_sessions: int
    """Sessions with events in an open window in the spool."""
    problems: list[str]
    """Each of ``troubles`` in a line."""
    exit_code: int = 0
    other_layouts: dict[str, str] = {}
    """Rings that this version leaves alone."""
    elsewhere: list[Status] = []
    """The same of the directory for rings that ``runtime_dir`` does not take, if there are any or one was in use."""
    open_llm_spend: list[Spend] = []
    """LLM calls in open windows, by model and tag, the dearest first."""
    troubles: list[Trouble] = []
    """What is not well, the worst first."""
    totals_at_ms: dict[str, int] = {}
    """When the last worker went of whom that was counted: of dropped_full, dropped_big and lost."""

    def note(self, troubles: list[Trouble]) -> None:
        """These are all there are."""
        self.troubles, self.problems = troubles, list(map(str, troubles))


def nothing(directory: str) -> Status:
    """Of a directory in which nothing was found."""
    return Status(directory, None, False, None, [], {}, [], {}, 0, [])


def to_json(status: Status) -> str:
    return as_json(status)
