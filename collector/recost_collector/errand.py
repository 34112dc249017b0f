"""One request taken to every runtime directory of this user that holds something, and what came of it."""

from __future__ import annotations

import contextlib
import os

import msgspec

from recost.leader import read_leader
from recost.paths import PrivateDirError, make_private_dir, runtime_dirs
from recost.ring.files import RING_PREFIX
from recost_collector import asking, spool_look
from recost_collector.figures import as_json, plural, printable
from recost_collector.request_box import Outcome, Request

OK, UNHEALTHY, NOT_RUNNING, UNREACHABLE = 0, 1, 3, 4
"""Of the exit codes of ``recost-collector``, those that come of what is found."""


class Reply(msgspec.Struct):
    """Of one runtime directory."""

    runtime_dir: str
    exit_code: int
    answered: bool = False
    is_done: bool = False
    """False: the time was up before every attempt was over."""
    trouble: str = ""
    outcomes: list[Outcome] = []


class Result(msgspec.Struct):
    """All that ``--json`` prints; fields are only ever added."""

    exit_code: int
    replies: list[Reply]


def run(request: Request) -> Result:
    """Raises ``OSError`` when a directory takes no request."""
    with asking.logging_to_stderr():
        replies = [_ask(directory, request) for directory in _concerned()]
    return Result(max((reply.exit_code for reply in replies), default=OK), replies)


def to_json(result: Result) -> str:
    return as_json(result)


def outcomes(result: Result) -> list[Outcome]:
    return [outcome for reply in result.replies for outcome in reply.outcomes]


def total(result: Result, name: str) -> int:
    """Of a count, over all destinations."""
    return sum(getattr(outcome, name) for outcome in outcomes(result))


def troubles(result: Result) -> list[str]:
    """What kept somebody from answering, or from doing it."""
    return [reply.trouble for reply in result.replies if reply.trouble]


def left(result: Result) -> str:
    """What is not delivered: ``2 windows wait, 1 window is parked``; empty when nothing is."""
    waiting, parked = total(result, "waiting"), total(result, "parked")
    texts = []
    if waiting:
        texts.append(f"{plural(waiting, 'window')} {'waits' if waiting == 1 else 'wait'}")
    if parked:
        texts.append(f"{plural(parked, 'window')} {'is' if parked == 1 else 'are'} parked")
    return ", ".join(texts)


def lines(result: Result) -> list[str]:
    """A line for each destination, and one for what is wrong there."""
    text = []
    for outcome in outcomes(result):
        counts = ((outcome.delivered, "delivered"), (outcome.waiting, "waiting"), (outcome.parked, "parked"))
        text.append(f"  {', '.join(f'{number:,} {word}' for number, word in counts if number)}: {outcome.destination}")
        if outcome.why:
            text.append(f"      {outcome.why}")
    return [printable(line) for line in text]


def _concerned() -> list[str]:
    """The runtime directories with something in ring or spool; the first one also for what nobody's spool holds."""
    first, *others = runtime_dirs()
    spools = [spool for spool in spool_look.look() if not spool.is_empty]
    holding = {spool.runtime_dir or first for spool in spools}
    found = [first] if first in holding or _has_rings(first) else []
    for directory in others:
        with contextlib.suppress(PrivateDirError):  # not ours, so nothing of ours is in it
            if directory in holding or _has_rings(directory):
                found.append(directory)
    return found


def _has_rings(directory: str) -> bool:
    """Raises ``PrivateDirError`` when it is there and may be somebody else's."""
    if not os.path.lexists(directory):
        return False
    make_private_dir(directory)
    return any(name.startswith(RING_PREFIX) for name in os.listdir(directory))


def _ask(directory: str, request: Request) -> Reply:
    try:
        answer = asking.ask(directory, request)
    except asking.NoLeaderError as exc:
        return Reply(directory, NOT_RUNNING, trouble=str(exc))
    if answer is None:
        return Reply(directory, UNREACHABLE, trouble=_silence(directory))
    trouble = f"the collector cannot write its spool: {answer.trouble}" if answer.trouble else ""
    is_left = any(outcome.waiting or outcome.parked for outcome in answer.outcomes)
    code = OK if answer.is_done and not trouble and not is_left else UNHEALTHY
    return Reply(directory, code, True, answer.is_done, trouble, answer.outcomes)


def _silence(directory: str) -> str:
    leader = read_leader(directory)
    who = f"the collector, pid {leader.pid}," if leader is not None else "the collector"
    return f"{who} does not answer: it is stopped or hangs; a worker replaces it after 10 s, or end it ({directory})"
