"""A worker is killed at every instruction of ``offer``, in every situation; readers find what was acknowledged."""

from __future__ import annotations

import contextlib
import signal
import threading
from functools import partial
from typing import NamedTuple, Optional

from recost.event import CallEvent, decode
from recost.ring.files import RING_PREFIX, RingFile, open_ring
from recost.ring.layout import DROPPED_BIG, DROPPED_FULL, MIN_CAPACITY, RECORDS, seed_of
from recost.ring.reader import Cursor, Reader
from tests.faults.forked import Helper, run_forked
from tests.faults.killing import offers, one_collect
from tests.faults.killing.instructions import Executed, KillAt, Point, Tracer, read_executed, traced
from tests.faults.killing.offers import FIRST, SITUATIONS, Situation, Stage
from tests.faults.offering import Ledger
from tests.faults.row import Trial

KILLED = -signal.SIGKILL
NO_NOTES = memoryview(bytes(8 * offers.SLOTS)).cast("Q")
QUICK_TRIES = 150
RINGS_A_COLLECT = 100
"""Rings of killed workers that one collector then empties."""


class Kill(NamedTuple):
    """When to kill in which situation; None is behind the return, before the call is noted."""

    situation: Situation
    point: Optional[Point]

    def __str__(self) -> str:
        return f"{self.situation.name}, {self.point or 'on return'}"


def offer(trial: Trial) -> None:
    """The row."""
    tries = Tries(trial)
    everything = [kill for situation in SITUATIONS for kill in tries.kills_in(situation)]
    chosen = everything if trial.full else trial.random.sample(everything, QUICK_TRIES)
    trial.plan(len(chosen))
    tries.kill_all(chosen)
    trial.controlled("the record before the tail", *tries.without_order())
    trial.figure(f"{len(chosen):,} of {len(everything):,} points in {len(SITUATIONS)} situations")


class Tries:
    """Workers that are killed, each with a ring of its own, and the readers of what they leave."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._notes = Ledger(trial.memory / "notes", offers.SLOTS)
        self._begin()

    def kills_in(self, situation: Situation) -> list[Kill]:
        """All that there are."""
        points = [*self._executed(situation, Executed()), None]
        return [Kill(situation, point) for point in points]

    def kill_all(self, kills: list[Kill]) -> None:
        worker = Helper(lambda number: self._be_killed(kills[number]), in_children=True)
        try:
            for number, kill in enumerate(kills):
                if not number % RINGS_A_COLLECT:
                    self._begin()
                code = worker(number)
                self._trial.check(code == KILLED, f"{kill}: the worker ended with {code}")
                for fault in self._look(kill.situation):
                    self._trial.violated(f"{kill}: {fault}")
                self._trial.tried()
                if number % RINGS_A_COLLECT == RINGS_A_COLLECT - 1 or number == len(kills) - 1:
                    self._collect()
        finally:
            worker.stop()

    def without_order(self) -> tuple[int, int]:
        """(wrong, tries) with a writer that moves the tail and then stores the record."""
        self._begin()
        hasty = Situation("tail first", offers.tail_first)
        executed = self._executed(hasty, Executed((offers.__file__,)))
        points = [point for point in executed if "__setitem__" in point.instruction.place]
        wrong = 0
        for point in points:
            run_forked(partial(self._be_killed, Kill(hasty, point)))
            wrong += bool(self._look(hasty))
        return wrong, len(points)

    def _begin(self) -> None:
        self._place = one_collect.new_place(self._trial.memory / "place")
        self._seen: set[str] = set()
        self._calls = self._numbers = 0

    def _executed(self, situation: Situation, tracer: Executed) -> list[Point]:
        found = self._trial.memory / "executed"

        def count() -> None:
            _meet(situation, Stage(self._notes), tracer)
            tracer.write(found)

        assert run_forked(count) == 0, situation.name
        self._look(situation)
        return [Point(at, nth) for at, times in read_executed(found).items() for nth in range(1, times + 1)]

    def _be_killed(self, kill: Kill) -> None:
        stage = Stage(self._notes, kill_on_return=kill.point is None)
        _meet(kill.situation, stage, None if kill.point is None else KillAt(kill.point))

    def _look(self, situation: Situation) -> list[str]:
        """What is wrong with the one new ring; its calls are remembered for ``_collect``."""
        names = {path.name for path in self._place.runtime.glob(f"{RING_PREFIX}*")}
        (name,) = names - self._seen
        self._seen = names
        notes = self._notes.counts.tolist()
        self._notes.counts[:] = NO_NOTES
        ring = open_ring(str(self._place.runtime / name))
        try:
            return self._faults(ring, situation, notes)
        finally:
            ring.close()

    def _faults(self, ring: RingFile, situation: Situation, notes: list[int]) -> list[str]:
        start = Cursor(notes[offers.READ_POSITION], notes[offers.READ_SEQUENCE])
        reader = Reader(ring.words, ring.data, seed_of(ring.header.ring_id), start)
        numbers = _numbers_in(reader)
        self._calls += len(numbers)
        self._numbers += sum(numbers)
        published, acknowledged = start.sequence + len(numbers), notes[offers.ACKNOWLEDGED]
        dropped, refused = ring.words[DROPPED_FULL] + ring.words[DROPPED_BIG], notes[offers.REFUSED]
        records = ring.words[RECORDS]
        wrong = {
            f"calls {numbers}": numbers != list(range(FIRST + start.sequence, FIRST + published)),
            f"{acknowledged} acknowledged, {published} published": not 0 <= published - acknowledged <= situation.calls,
            f"{reader.cursor.lost} lost": reader.cursor.lost,
            "unreadable bytes": reader.quarantined is not None,
            f"{records} records counted, {published} published": not 0 <= published - records <= 1,
            f"{refused} refused, {dropped} counted": not 0 <= dropped - refused <= (not situation.calls),
        }
        return [text for text, is_so in wrong.items() if is_so]

    def _collect(self) -> None:
        """A real collector takes all the rings."""
        code = run_forked(partial(one_collect.collect, stay=True))
        self._trial.check(code == 0, f"the collector after the kills ended with {code}")
        metrics = one_collect.metrics_in(self._place)
        found = tuple(one_collect.sum_of(metrics, of) for of in ("requestCount", "totalRequestBytes"))
        wanted = self._calls, self._numbers
        self._trial.check(found == wanted, f"calls and the sum of their numbers: rings {wanted}, collected {found}")
        counters = one_collect.counters_in(self._place)
        wrong = {name: counters[name] for name in one_collect.NOUGHT if counters.get(name)}
        self._trial.check(not wrong, f"the collector after the kills counted {wrong}")


def _numbers_in(reader: Reader) -> list[int]:
    """Of the calls that can be read."""
    numbers: list[int] = []
    while True:
        payloads = reader.drain(MIN_CAPACITY, owner_gone=True)
        if not payloads:
            return numbers
        events = [decode(payload) for payload in payloads]
        numbers += [event.request_bytes for event in events if isinstance(event, CallEvent)]


def _meet(situation: Situation, stage: Stage, tracer: Optional[Tracer]) -> None:
    """In a thread: an offer may walk the stack, and there it finds as few frames each time as there can be."""
    act = situation.prepare(stage)
    done: list[object] = []

    def run() -> None:
        stage.ready()
        with contextlib.nullcontext() if tracer is None else traced(tracer):
            done.append(act())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done, situation.name
