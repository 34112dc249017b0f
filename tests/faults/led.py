"""A collector in a process that a row has forked, so that it can be brought to do something at a chosen moment.

It is the real one from ``process.run`` on; only a spawned one's launcher is missing.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import random
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

from recost_collector import process, spool_place
from recost_collector.election import Election, new_file_lock
from recost_collector.leading import Leadership
from recost_collector.service import Service
from recost_collector.spool import Fenced, Spool
from tests.faults.replacing import replace, take_away
from tests.harness import start_child

HANG_S = 1.5
"""In place of the 30 s after which the kernel's timer ends a collector that hangs."""


EMPTY_WINDOW = b'{"metrics":[]}'


class Moment(NamedTuple):
    """Before, or after, a call of a method."""

    owner: type
    method: str
    after: bool
    most: int
    """At which of its calls, at most: turns come every 50 ms, commits every half second or so."""


AT_TURN = Moment(Leadership, "turn", after=False, most=40)
DRAINED = Moment(Service, "_drain", after=True, most=40)
IN_TRANSACTION = Moment(Spool, "_write", after=True, most=8)
BEFORE_COMMIT = Moment(Spool, "commit", after=False, most=8)
BEFORE_HEADS = Moment(Service, "_after_commit", after=False, most=8)
TELLING = Moment(Service, "_tell", after=False, most=40)
BETWEEN_TRANSACTIONS = (AT_TURN, DRAINED, BEFORE_COMMIT, BEFORE_HEADS, TELLING)
ANY = (*BETWEEN_TRANSACTIONS, IN_TRANSACTION)


def choose(rng: random.Random, moments: Sequence[Moment]) -> tuple[Moment, int]:
    """One of them, and at which of its calls."""
    moment = rng.choice(moments)
    return moment, rng.randint(1, moment.most)


def start(prepare: Callable[[], object], hang_s: float = process.HANG_S) -> int:
    """Fork a process that does ``prepare`` and leads then. It exits 0 when it leaves in good order.

    ``hang_s``: what the kernel's timer gives to one turn.
    """
    return start_child(lambda: _collect(prepare, hang_s))


def once(moment: Moment, number: int, act: Callable[[], object], counts: Callable[..., bool] = lambda *_: True) -> None:
    """In the process that leads: ``act`` at that moment of the ``number``-th call.

    ``counts``: whether a call does, by its arguments.
    """
    original = getattr(moment.owner, moment.method)
    left = [number]

    @functools.wraps(original)
    def watched(*arguments: Any, **keywords: Any) -> Any:
        counted = counts(*arguments)
        left[0] -= counted
        is_it = counted and not left[0]
        if is_it and not moment.after:
            act()
        result = original(*arguments, **keywords)
        if is_it and moment.after:
            act()
        return result

    replace(moment.owner, moment.method, watched)


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def stop_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def pause_with_the_gil() -> None:
    """A call of C that does not return and does not let Python's other threads run, nor its signal handlers."""
    ctypes.PyDLL(None).pause()


def match_for_ever() -> None:
    """A regular expression that takes longer than the universe."""
    re.match(r"(a+)+$", "a" * 64 + "b")


HANGS = (pause_with_the_gil, pause_with_the_gil, match_for_ever)


def overlook_the_lock() -> None:
    """Go on, and deliver, although the lock's file is another one."""
    replace(Election, "still_leads", lambda _: True)


def share_the_spool() -> None:
    """Work on the spool although another collector has locked it."""
    replace(spool_place, "new_file_lock", lambda path: new_file_lock(f"{path}.second"))


def spare_the_last_leader() -> None:
    """The control: whoever still works on the spool goes on, and we take another one."""
    replace(spool_place, "_end_predecessor", lambda *_: False)


def commit_whatever_the_epoch() -> None:
    """The control: a transaction that does not compare the epoch; nor does a frame that is gone end the lead."""
    body = Spool.body

    def body_if_there(spool: Spool, frame_id: int) -> bytes:
        try:
            return body(spool, frame_id)
        except Fenced:
            return EMPTY_WINDOW

    take_away(Spool, "body", body_if_there)
    take_away(Spool, "_transaction", _transaction_without_epoch)


@contextlib.contextmanager
def _transaction_without_epoch(self: Spool) -> Iterator[None]:
    self._db.execute("BEGIN IMMEDIATE")
    try:
        yield
        self._db.execute("COMMIT")
    except BaseException:
        self._db.execute("ROLLBACK")
        raise


def _collect(prepare: Callable[[], object], hang_s: float) -> None:
    def hasten_the_timer() -> None:  # not before: the imports of a start may take longer
        process.HANG_S = hang_s

    prepare()
    process.log_to_file()
    process.run(os.environ["RECOST_RUNTIME_DIR"], "spawned", 5.0, on_leading=hasten_the_timer)
