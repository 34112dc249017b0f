"""One look at the host for ``top``: how it stands, what the collector tells, and how fast each worker records."""

from __future__ import annotations

import time
from typing import NamedTuple, Optional

from recost_collector import asking, status_look
from recost_collector.live import Watched
from recost_collector.request_box import Request
from recost_collector.status import RingStatus, Status
from recost_collector.words import about_file

PATIENCE_S = 1.0


class Look(NamedTuple):
    """``at``: monotonic seconds."""

    at: float
    status: Status
    watched: Optional[Watched] = None
    """None: nobody leads, or who leads does not answer."""
    trouble: str = ""
    """Why the collector's figures are missing although one leads."""
    rates: dict[str, float] = {}  # noqa: RUF012 - never changed
    """Calls per second by ring, since the look before."""


def look(before: Optional[Look]) -> Look:
    """Raises ``OSError`` when the runtime directory is not ours to look at."""
    found = status_look.gather()
    leading = next((each for each in (found, *found.elsewhere) if each.leading), None)
    watched, trouble = _ask(leading) if leading is not None else (None, "")
    at = time.monotonic()
    rates = _rates(before, found, at) if before is not None else {}
    return Look(at, found, watched, trouble, rates)


def rings(found: Status) -> list[RingStatus]:
    """Of all its directories."""
    return [ring for each in (found, *found.elsewhere) for ring in each.rings]


def _ask(leading: Status) -> tuple[Optional[Watched], str]:
    who = f"the collector, pid {leading.leader.pid}," if leading.leader is not None else "the collector"
    if leading.beating is False:
        return None, f"{who} is stopped or hangs"
    try:
        answer = asking.ask_who_leads(leading.runtime_dir, Request("watch", PATIENCE_S))
    except OSError as exc:
        return None, f"{who} cannot be asked: {about_file(exc)}"
    if answer is None:
        return None, f"{who} does not answer: it hangs, is too busy, or is older than this command"
    return answer.watched, ""


def _rates(before: Look, found: Status, at: float) -> dict[str, float]:
    passed = at - before.at
    recorded = {ring.name: ring.recorded for ring in rings(before.status)}
    return {ring.name: max(0, ring.recorded - recorded.get(ring.name, 0)) / passed for ring in rings(found)}
