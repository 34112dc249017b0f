"""Asking the leader of a runtime directory for something, or leading for as long as that takes when nobody does.

The one way is a request in its folder: who leads finds it there, and if nobody leads, this process does and finds its
own.  So what happens does not depend on who does it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import Optional

from recost.leader import wake_leader
from recost_collector.leading import Leadership, lead
from recost_collector.request_box import Answer, Request, RequestBox
from recost_collector.service import LostLead
from recost_collector.spool import Fenced, SpoolTrouble

PATIENCE_S = 2.0
"""Beyond the request's own time: a leader that turns answers in it."""
LOOK_S = 0.5
"""How often to see whether the leader is gone."""
POLL_S = 0.02
LAST_DELIVERY_S = 3.0


class NoLeaderError(OSError):
    """Nobody leads, and this process cannot either. A subclass of ``OSError``: the command says so and ends."""


def ask(directory: str, request: Request) -> Optional[Answer]:
    """The answer. None: somebody leads, and did not answer in time.

    Raises ``OSError`` when the directory takes no request, or nobody leads and this process cannot.
    """
    box = RequestBox(directory)
    name = box.post(request)
    try:
        return _wait(box, name, directory, time.monotonic() + request.timeout_s + PATIENCE_S)
    finally:
        box.withdraw(name)


def ask_who_leads(directory: str, request: Request) -> Optional[Answer]:
    """The answer of the one who leads now; None when there was none in the request's time.

    For what is not worth leading for. Raises ``OSError`` when the directory takes no request.
    """
    box = RequestBox(directory)
    name, until = box.post(request), time.monotonic() + request.timeout_s
    try:
        wake_leader(directory)
        answer = box.answer_to(name)
        while answer is None and time.monotonic() < until:
            time.sleep(POLL_S)
            answer = box.answer_to(name)
        return answer
    finally:
        box.withdraw(name)


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """What a leader has to say, for one that leads in a command: a line each and no traceback."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line("recost-collector: %(message)s"))
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger("recost_collector")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.removeHandler(handler)


class _Line(logging.Formatter):
    def formatException(self, ei: object) -> str:  # noqa: ARG002, N802 - the name and shape of logging's
        return ""


def _wait(box: RequestBox, name: str, directory: str, until: float) -> Optional[Answer]:
    look_at = time.monotonic()
    while True:
        answer = box.answer_to(name)
        now = time.monotonic()
        if answer is not None or now >= until:
            return answer
        if now >= look_at:
            look_at = now + LOOK_S
            leadership = _try_to_lead(directory)
            if leadership is not None:
                _lead(leadership, box, name, until)
                continue
            wake_leader(directory)
        time.sleep(POLL_S)


def _try_to_lead(directory: str) -> Optional[Leadership]:
    try:
        return lead(directory, "run", 0.0)
    except (SpoolTrouble, Fenced, LostLead) as exc:
        raise NoLeaderError(f"nobody collects, and this command cannot either: {exc}") from exc


def _lead(leadership: Leadership, box: RequestBox, name: str, until: float) -> None:
    try:
        while box.answer_to(name) is None and time.monotonic() < until:
            leadership.turn(time.monotonic())
            leadership.wake.wait(POLL_S)
    except LostLead:  # somebody else leads, and finds the request
        leadership.give_back()
        return
    except BaseException:
        leadership.give_back()
        raise
    leadership.finish(LAST_DELIVERY_S)
