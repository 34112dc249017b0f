"""What is not well with a host, the worst first, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recost_collector.status import DestinationStatus, RingStatus, Status


def judge(status: Status) -> None:
    """Find what is not well, the worst first, with what to do; set the exit code."""
    problems = status.problems
    holds = bool(status.rings or status.open_sessions or any(found.waiting for found in status.destinations))
    if not status.leading and holds:
        status.exit_code = 3
        problems.append("no collector runs although something waits: the next call of a worker starts one, or run one")
    elif status.leading and status.beating is False:
        problems.append("the collector holds its lock and does nothing: a worker replaces it after 10 s, or end it")
    if status.leader is not None and status.leading and status.leader.trouble:
        problems.append(f"degraded: {status.leader.trouble}")
    problems.extend(problem for found in status.destinations for problem in _destination_problems(found))
    problems.extend(_ring_problems(status.rings))
    if status.refused:
        names = ", ".join(status.refused)
        problems.append(f"{len(status.refused)} files in the runtime directory are no rings: {names}")
    if problems and status.exit_code == 0:
        status.exit_code = 1


def _ring_problems(rings: list[RingStatus]) -> list[str]:
    problems = []
    dropped, lost = sum(ring.dropped for ring in rings), sum(ring.lost for ring in rings)
    if dropped:
        problems.append(f"{dropped:,} calls were not recorded because a ring was full: raise ring_bytes")
    if lost:
        problems.append(f"up to {lost:,} calls were lost because another program damaged a ring, or none could be made")
    return problems


def _destination_problems(found: DestinationStatus) -> list[str]:
    problems = []
    if found.suspended:
        problems.append(f"delivery to {found.destination} is suspended, the key was refused: set a valid api_key")
    if found.parked:
        reasons = ", ".join(found.parked_reasons[:3])
        problems.append(
            f"{found.parked} windows are parked, {found.destination} will not take them: {reasons};"
            " recost-collector spool retry tries them again, spool delete --parked loses them"
        )
    if found.waiting and found.last_error_at_ms > found.delivered_at_ms and not found.suspended:
        problems.append(f"{found.waiting} windows wait for {found.destination}: {found.last_error}")
    return problems
