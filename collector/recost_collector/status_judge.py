"""What is not well with a host, the worst first, and what to do about it."""

from __future__ import annotations

import time

from recost_collector.exporters import WAITING
from recost_collector.figures import ago, agreed
from recost_collector.status import DestinationStatus, RingStatus, Status, Trouble
from recost_collector.words import DOCTOR_SAYS_WHAT

RECENT_MS = 86_400_000
"""What workers that are gone did not get recorded is trouble for a day, so that who looks the next morning sees it."""
ENLARGE = "raise ring_bytes (RECOST_RING_BYTES)"
TRIED_AGAIN = "they are tried again by themselves; "
ASK_DOCTOR = f"{DOCTOR_SAYS_WHAT}, flush tries now"
ASK_REACH = "recost-collector doctor --reach says what is wrong, flush tries now"
DOCTOR_SAYS_WHY = "recost-collector doctor says why"
WITHIN_DOCTOR = {
    DOCTOR_SAYS_WHAT: "mend what is said of directories above",
    DOCTOR_SAYS_WHY: "mend what is said of the runtime directory above",
    TRIED_AGAIN + ASK_DOCTOR: f"{TRIED_AGAIN}recost-collector flush tries now",
}
"""What stands for a mend that names the doctor where it is the doctor who says it."""


_OF_GONE = (
    (("dropped_full", "dropped_big"), "{were} not recorded because a ring was full, {went}", ENLARGE),
    (
        ("lost",),
        "up to {were} lost because another program damaged a ring, or none could be made, {went}",
        DOCTOR_SAYS_WHY,
    ),
)
"""Of workers that are gone: the totals, what they tell, and what to do about it."""


def judge(status: Status) -> None:
    """Find what is not well, the worst first, with what to do; set the exit code."""
    troubles = [*_collector_troubles(status), *status.troubles]
    if not status.leading and _holds(status):
        status.exit_code = 3
    troubles.extend(trouble for found in status.destinations for trouble in destination_troubles(found))
    troubles.extend(_ring_troubles(status.rings))
    troubles.extend(_troubles_of_gone(status, time.time_ns() // 1_000_000))
    if status.refused:
        names = ", ".join(status.refused)
        text = f"{agreed(len(status.refused), 'file', 'is no ring', 'are no rings')} in the runtime directory: {names}"
        troubles.append(Trouble(text, "recost-collector doctor --rings says what they are"))
    status.note(troubles)
    if troubles and status.exit_code == 0:
        status.exit_code = 1


def _holds(status: Status) -> bool:
    return bool(status.rings or status.open_sessions or any(found.waiting for found in status.destinations))


def _collector_troubles(status: Status) -> list[Trouble]:
    troubles = []
    if not status.leading and _holds(status):
        mend = "the next call of a worker starts one, or run: recost-collector run"
        troubles.append(Trouble("no collector runs although something waits", mend))
    elif status.leading and status.beating is False:
        mend = "calls wait in shared memory meanwhile; a worker replaces it after 10 s, or end it"
        troubles.append(Trouble("the collector holds its lock and does nothing", mend))
    if status.leader is not None and status.leading and status.leader.trouble:
        what, _, mend = status.leader.trouble.partition("; ")
        troubles.append(Trouble(f"degraded: {what}", mend))
    return troubles


def _ring_troubles(rings: list[RingStatus]) -> list[Trouble]:
    troubles = []
    dropped, lost = sum(ring.dropped for ring in rings), sum(ring.lost for ring in rings)
    if dropped:
        were = agreed(dropped, "call", "was", "were")
        troubles.append(Trouble(f"{were} not recorded because a ring was full", ENLARGE))
    if lost:
        were = agreed(lost, "call", "was", "were")
        text = f"up to {were} lost because another program damaged a ring, or none could be made"
        troubles.append(Trouble(text, "recost-collector doctor --rings says which"))
    return troubles


def _troubles_of_gone(status: Status, now_ms: int) -> list[Trouble]:
    """The same of workers that are gone, for a while: nobody can tell it from their rings any more."""
    troubles = []
    for names, what, mend in _OF_GONE:
        number = sum(status.totals.get(name, 0) for name in names)
        at_ms = max(status.totals_at_ms.get(name, 0) for name in names)
        if number and abs(now_ms - at_ms) < RECENT_MS:
            were = agreed(number, "call", *(f"of workers that are gone {verb}" for verb in ("was", "were")))
            went = f"the last of them went {ago(now_ms - at_ms)} ago"
            troubles.append(Trouble(what.format(were=were, went=went), mend))
    return troubles


def destination_troubles(found: DestinationStatus) -> list[Trouble]:
    """What is not well with delivery there."""
    troubles = []
    if found.suspended:
        text = f"delivery to {found.destination} is suspended, the key was refused"
        mend = (
            "set a valid api_key (RECOST_API_KEY): the next init() with it resumes delivery, nothing is lost meanwhile"
        )
        troubles.append(Trouble(text, mend))
    if found.parked:
        reasons = ", ".join(found.parked_reasons[:3])
        text = (
            f"{agreed(found.parked, 'window', 'is', 'are')} parked, {found.destination} will not take them: {reasons}"
        )
        mend = "recost-collector spool retry tries them again, spool delete --parked loses them"
        troubles.append(Trouble(text, mend))
    if found.waiting and found.last_error_at_ms > found.delivered_at_ms and not found.suspended:
        why = found.last_error.partition(WAITING)[0]
        text = f"{agreed(found.waiting, 'window', 'is', 'are')} waiting for {found.destination}: {why}"
        troubles.append(Trouble(text, _mend_of_waiting(found, time.time_ns() // 1_000_000)))
    return troubles


def _mend_of_waiting(found: DestinationStatus, now_ms: int) -> str:
    """What to do depends on whether time helps, and on whether anything can be hurried."""
    if found.last_kind == "given_up":
        return (
            "start the listener: the next init(), so a worker that starts, tries it again;"
            ' without one local_transport="file" (RECOST_LOCAL_TRANSPORT)'
        )
    if found.wait_until_ms > now_ms:
        again = f"they are tried again in {ago(found.wait_until_ms - now_ms)}, as it asked"
        return f"nothing: {again}; flush does not go before"
    if found.last_kind == "auth":
        return "check api_key (RECOST_API_KEY): an init() with another key tries it at once"
    return TRIED_AGAIN + (ASK_DOCTOR if found.destination.startswith("file:") else ASK_REACH)
