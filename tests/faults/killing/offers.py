"""The situations that an ``offer`` can meet, each made by a child that is then killed at one instruction of it.

Call ``n`` says its number in ``request_bytes``.  A reader must find, behind the kill, every call whose ``offer`` had
returned True, and of those under way the first ones or none: in order, whole.  A call that comes in while another is
being stored (from a signal handler, a finalizer) is under way for as long as the outer one is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

from recost import session
from recost.event import CallEvent, encode
from recost.ring.files import create_ring
from recost.ring.layout import DROPPED_FULL, HEAD, MIN_CAPACITY, RECORDS, TAIL, record_bytes, seed_of
from recost.ring.reader import Reader
from recost.ring.sentinel import new_sentinel
from recost.ring.writer import Writer
from recost.session import Registration
from tests.collector.collecting import runtime
from tests.faults.killing import one_collect
from tests.faults.offering import Ledger

ACKNOWLEDGED, REFUSED, READ_POSITION, READ_SEQUENCE, SLOTS = range(5)
"""What the child notes in a ``Ledger``, where the kill cannot take it away."""
FIRST = 1000
"""Number of the first call: all numbers take as many bytes."""
SEVERAL = 3
LARGE = 400
"""More than any record here takes, but for those made to be longer."""


class Thrown(BaseException):
    """What a signal handler throws through whatever it interrupts."""


class Interrupting:
    """Memory of a ring. Once, right after a store or before a load, something else happens: a handler, a finalizer."""

    def __init__(self, memory: Any, at: Optional[int], what: Callable[[], object]) -> None:
        """``at``: the word that is loaded (``HEAD``) or stored (any other); None: every store is meant."""
        self._memory = memory
        self._at = at
        self._what: Optional[Callable[[], object]] = what

    def __len__(self) -> int:
        return len(self._memory)

    def __getitem__(self, index: int) -> int:
        if index == self._at == HEAD:
            self._interrupt()
        found: int = self._memory[index]
        return found

    def __setitem__(self, place: Any, value: Any) -> None:
        self._memory[place] = value
        if self._at is None or self._at == place:
            self._interrupt()

    def _interrupt(self) -> None:
        what, self._what = self._what, None
        if what is not None:
            what()


class Stage:
    """A worker in the child: its ring, and the notes of what its calls were told."""

    def __init__(self, notes: Ledger, *, kill_on_return: bool = False) -> None:
        self.ring = create_ring(runtime(), session.encode(Registration(one_collect.session())), MIN_CAPACITY)
        self.writer = Writer(self.ring.words, self.ring.data, seed_of(self.ring.header.ring_id), new_sentinel())
        self.made = FIRST
        self.kill_on_return = False
        self._notes = notes.counts
        self._wants_kill_on_return = kill_on_return

    def ready(self) -> None:
        """What comes now is what the kill is for."""
        self.kill_on_return = self._wants_kill_on_return

    def offer(self, filler: int = 0) -> bool:
        """The next call, noted once its ``offer`` has returned."""
        payload = self.payload(filler)
        return self.note(accepted=self.writer.offer(payload))

    def payload(self, filler: int = 0) -> bytes:
        """The next call's."""
        path = "/v1/things" + "s" * filler
        event = CallEvent(time.time_ns(), 5_000_000, "GET", "https", "api.example.com", path, 200, self.made, 20)
        self.made += 1
        return encode(event)

    def note(self, *, accepted: bool, calls: int = 1) -> bool:
        if self.kill_on_return:
            os.kill(os.getpid(), signal.SIGKILL)
        self._notes[ACKNOWLEDGED if accepted else REFUSED] += calls
        return accepted

    def fill(self) -> None:
        """Until the ring refuses one: that one is as if it had not been."""
        while self.offer():
            pass
        self.made -= 1
        self.ring.words[DROPPED_FULL] = self._notes[REFUSED] = 0

    def advance(self, leave: int) -> None:
        """Offer, and read, up to ``leave`` bytes before the end of the data area."""
        while MIN_CAPACITY - self.writer.tail > leave + LARGE:
            self.offer()
        wanted = MIN_CAPACITY - self.writer.tail - leave
        filler = next(n for n in range(LARGE) if record_bytes(len(self._as_payload(n))) == wanted)
        self.offer(filler)
        self._read()

    def record_bytes(self) -> int:
        """Of the next call."""
        return record_bytes(len(self._as_payload(0)))

    def interrupt(self, at: Optional[int], what: Callable[[], object]) -> None:
        """``what`` comes in between, once, where a call loads or stores that word; None: where it stores the record."""
        if at is None:
            self.writer._data = Interrupting(self.ring.data, None, what)
        else:
            self.writer._words = Interrupting(self.ring.words, at, what)
            self.writer._limit = 0  # so that it looks at the head

    def leave_one_aside(self) -> None:
        """A handler makes a call in the middle of one and throws: the outer call is not stored, the inner waits."""
        outer = self._as_payload(0)
        inner = self.payload()

        def call_and_throw() -> None:
            self.writer.offer(inner)
            raise Thrown

        self.interrupt(HEAD, call_and_throw)
        with contextlib.suppress(Thrown):
            self.writer.offer(outer)
        self.writer._words = self.ring.words

    def _as_payload(self, filler: int) -> bytes:
        payload = self.payload(filler)
        self.made -= 1
        return payload

    def _read(self) -> None:
        """What a collector does with all that is there: read it, and release the room."""
        reader = Reader(self.ring.words, self.ring.data, seed_of(self.ring.header.ring_id))
        while reader.drain(MIN_CAPACITY):
            pass
        reader.release(reader.cursor.position)
        self._notes[READ_POSITION], self._notes[READ_SEQUENCE], _ = reader.cursor


class Situation(NamedTuple):
    """``prepare`` a stage; it gives what is then done under the eyes of the kill."""

    name: str
    prepare: Callable[[Stage], Callable[[], object]]
    calls: int = 1
    """Under way meanwhile."""


def _first(stage: Stage) -> Callable[[], object]:
    return stage.offer


def _plain(stage: Stage) -> Callable[[], object]:
    for _ in range(SEVERAL):
        stage.offer()
    return stage.offer


def _to_the_end(stage: Stage) -> Callable[[], object]:
    stage.advance(leave=stage.record_bytes())
    return stage.offer


def _wrapping(leave: int) -> Callable[[Stage], Callable[[], object]]:
    def prepare(stage: Stage) -> Callable[[], object]:
        stage.advance(leave)
        return stage.offer

    return prepare


def _full(stage: Stage) -> Callable[[], object]:
    stage.fill()
    return stage.offer


def _too_big(stage: Stage) -> Callable[[], object]:
    stage.offer()
    return lambda: stage.offer(filler=MIN_CAPACITY // 4)


def _reentered(at: Optional[int]) -> Callable[[Stage], Callable[[], object]]:
    def prepare(stage: Stage) -> Callable[[], object]:
        stage.offer()
        outer, inner = stage.payload(), stage.payload()
        stage.interrupt(at, lambda: stage.writer.offer(inner))
        return lambda: stage.note(accepted=stage.writer.offer(outer), calls=2)

    return prepare


def _thrown_through(at: Optional[int]) -> Callable[[Stage], Callable[[], object]]:
    def throw() -> None:
        raise Thrown

    def prepare(stage: Stage) -> Callable[[], object]:
        stage.offer()
        stage.interrupt(at, throw)

        def offer() -> None:
            with contextlib.suppress(Thrown):
                stage.writer.offer(stage.payload())
            stage.note(accepted=True, calls=0)

        return offer

    return prepare


def _after_one_left_aside(stage: Stage) -> Callable[[], object]:
    stage.leave_one_aside()
    return lambda: stage.note(accepted=stage.writer.offer(stage.payload()), calls=2)


def _settling(stage: Stage) -> Callable[[], object]:
    stage.leave_one_aside()

    def settle() -> None:
        stage.writer.settle()
        stage.note(accepted=True)

    return settle


def _closing(stage: Stage) -> Callable[[], object]:
    stage.leave_one_aside()

    def close() -> None:
        stage.writer.close()
        stage.note(accepted=True)
        stage.note(accepted=stage.writer.offer(stage.payload()), calls=0)

    return close


SITUATIONS = (
    Situation("first record", _first),
    Situation("plain", _plain),
    Situation("up to the end of the data", _to_the_end),
    Situation("wrapping in the payload", _wrapping(leave=40)),
    Situation("wrapping in the prefix", _wrapping(leave=8)),
    Situation("full ring", _full, calls=0),
    Situation("too big", _too_big, calls=0),
    Situation("reentered before the store", _reentered(HEAD), calls=2),
    Situation("reentered behind the store", _reentered(None), calls=2),
    Situation("reentered behind the tail", _reentered(TAIL), calls=2),
    Situation("reentered behind the count", _reentered(RECORDS), calls=2),
    Situation("thrown through before the store", _thrown_through(HEAD)),
    Situation("thrown through behind the store", _thrown_through(None)),
    Situation("thrown through behind the tail", _thrown_through(TAIL)),
    Situation("after one left aside", _after_one_left_aside, calls=2),
    Situation("settling", _settling),
    Situation("closing", _closing),
)


class TailFirst:
    """The data of a ring behind a writer that publishes a record and then stores it: the control."""

    def __init__(self, stage: Stage) -> None:
        self._words, self._data = stage.ring.words, stage.ring.data

    def __len__(self) -> int:
        return len(self._data)

    def __setitem__(self, place: slice, record: bytes) -> None:
        self._words[TAIL] += (len(record) + 7) & ~7
        self._data[place] = record


def tail_first(stage: Stage) -> Callable[[], object]:
    stage.offer()
    stage.writer._data = TailFirst(stage)
    return stage.offer
