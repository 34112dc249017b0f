"""``offer`` entered in its own middle, by signal handlers and finalizers, and left there by exceptions.

Each round is a process of its own: a real ring file, a reader in another process that drains it meanwhile, and a
source of trouble (``strikes``).  Only what strikes inside ``offer`` counts as a try.  Every record has a number;
*acknowledged* is a number whose ``offer`` returned True, also in a handler, and which was noted in the next step.

Pythons differ in where they let anything in: 3.11 and later at calls and jumps, earlier ones at almost any
instruction.  So the full form runs on each.
"""

from __future__ import annotations

import collections
import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import msgspec

from recost.ring.files import create_ring, open_ring
from recost.ring.layout import CLOSED, DROPPED_FULL, HEAD, TAIL, seed_of
from recost.ring.reader import Reader
from recost.ring.sentinel import new_sentinel
from recost.ring.writer import Writer
from tests.faults.ring import strikes
from tests.faults.ring.strikes import Interrupted, Place
from tests.faults.row import Row, Trial
from tests.harness import start_child, wait_for_child

CAPACITY = 1 << 18
NUMBER_BYTES = 8
FILLER = bytes(range(97))
ROUND_HITS = 250
ROUND_S = 25.0
LOCK_S = 10.0
POLL_S = 0.0005
WRITER_FILE = Writer.offer.__code__.co_filename
READ, OUTCOME = "read", "outcome"

Source = Callable[["Round"], AbstractContextManager[None]]


class Unguarded(Writer):
    """The control: the lock alone, which lets in the thread that has it."""

    def offer(self, payload: bytes) -> bool:
        with self._lock:
            return self._store(payload, None)


class Unreleased(Writer):
    """The control for exceptions: takes the lock and gives it back as if nothing could come between."""

    def offer(self, payload: bytes) -> bool:
        self._lock.acquire()
        accepted = self._store(payload, None)
        self._lock.release()
        return accepted


class Plan(NamedTuple):
    """What one round does."""

    source: Source
    writer: type[Writer]
    hits: int
    seed: float
    lock_s: float = LOCK_S


class Outcome(msgspec.Struct):
    """What one round has seen."""

    hits: int
    """Times that something struck inside ``offer``."""
    lines: set[int]
    """Where it did."""
    acknowledged: int
    lost: int
    doubled: int
    unasked: int
    """Read and not acknowledged, beyond one for each exception."""
    damaged: int
    """Payloads that were not as offered, and gaps that the reader has counted."""
    dropped: int
    held: int
    """Exceptions after which the lock was still taken."""
    stuck: int
    """1: at the end another thread could not offer."""

    @property
    def wrong(self) -> dict[str, int]:
        """What should not be."""
        found = msgspec.structs.asdict(self)
        return {name: found[name] for name in self.__struct_fields__[3:] if found[name]}


class Round:
    """A process that offers while something strikes, and its account."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        self.ring = create_ring(str(directory), b"", CAPACITY)
        self.writer = plan.writer(self.ring.words, self.ring.data, seed_of(self.ring.header.ring_id), new_sentinel())
        self.chance = random.Random(plan.seed)
        self.hits = 0
        self.thrown = 0
        self.held = 0
        self.is_armed = False
        """An exception from another thread would be caught now."""
        self.prepare: Callable[[], None] = lambda: None
        """What the main loop does before each offer."""
        self.acknowledged: list[int] = []
        self.lines: set[int] = set()
        self._plan = plan
        self._offer = plan.writer.offer.__code__
        self._numbers = itertools.count(1)

    @property
    def is_over(self) -> bool:
        return self.hits >= self._plan.hits

    def offer(self) -> None:
        """Offer the next number. The main loop's, a handler's, a finalizer's."""
        number = next(self._numbers)
        if self.writer.offer(payload_of(number)):
            self.acknowledged.append(number)

    def offer_on(self) -> None:
        """Offer until there were enough hits, and catch what is thrown."""
        while not self.is_over:
            try:
                self._offer_until_over()  # no loop in here: from 3.13 on the jump back is outside of the ``try``
            except Interrupted as exc:
                self.thrown += 1
                self.held += self.writer._lock._is_owned()
                self.struck(strikes.places_of(exc.__traceback__))

    def _offer_until_over(self) -> None:
        """Never more than the reader keeps up with."""
        words = self.ring.words
        self.is_armed = True
        while not self.is_over:
            self.prepare()
            self.offer()
            while words[TAIL] - words[HEAD] > CAPACITY // 2:
                time.sleep(POLL_S)

    def struck(self, places: Iterable[Place]) -> None:
        """Something came in at the innermost of these places: a hit when that is inside ``offer``."""
        inside = self.inside(places)
        if inside:
            self.hits += 1
            self.lines.add(inside[0])

    def inside(self, places: Iterable[Place]) -> list[int]:
        """The lines of the writer that are under way, from the innermost; empty when ``offer`` is not."""
        found = []
        for code, line in places:
            if code is self._offer or code.co_filename == WRITER_FILE:
                found.append(line)
            if code is self._offer:
                return found
        return []

    def outcome(self, read: Sequence[int], damaged: int, stuck: int) -> Outcome:
        """What it comes to, by what the reader has read."""
        times, asked = collections.Counter(read), set(self.acknowledged)
        return Outcome(
            hits=self.hits,
            lines=self.lines,
            acknowledged=len(asked),
            lost=len(asked - times.keys()),
            doubled=len(read) - len(times),
            unasked=max(0, len(times.keys() - asked) - self.thrown),
            damaged=damaged,
            dropped=self.ring.words[DROPPED_FULL],
            held=self.held,
            stuck=stuck,
        )


def payload_of(number: int) -> bytes:
    """A record of a length of its own, so that laps differ."""
    return number.to_bytes(NUMBER_BYTES, "little") + FILLER[: number % len(FILLER)]


def by_signals(trial: Trial) -> None:
    """A timer's signals, and another process's."""
    _strike(trial, [strikes.signals])
    _without(trial, "the busy flag and the side queue", [strikes.signals], Unguarded)


def by_finalizers(trial: Trial) -> None:
    """Collections that ``offer``'s own allocations set off, and such as come at any instruction."""
    _strike(trial, [strikes.finalizers, strikes.collections])
    _without(trial, "the busy flag and the side queue", [strikes.finalizers, strikes.collections], Unguarded)


def by_exceptions(trial: Trial) -> None:
    """Thrown by handlers, also by such as have recorded before, and by another thread."""
    _strike(trial, [strikes.handlers_that_throw, strikes.throwing_thread])
    _without(trial, "letting go after an exception", [strikes.handlers_that_throw], Unreleased)


def _strike(trial: Trial, sources: Sequence[Source]) -> None:
    """Rounds with each source in turn until there were enough hits."""
    wanted = trial.size(1_000, 10_000)
    trial.plan(wanted)
    lines: dict[str, set[int]] = {source.__name__: set() for source in sources}
    for source in itertools.islice(itertools.cycle(sources), wanted // ROUND_HITS):
        outcome = _run(trial, Plan(source, Writer, ROUND_HITS, trial.random.random()))
        trial.tried(outcome.hits)
        trial.check(not outcome.wrong, f"{source.__name__}: {outcome.wrong}, after {outcome.hits} hits")
        lines[source.__name__] |= outcome.lines
    for name, found in lines.items():
        trial.figure(f"{name}: struck at {len(found)} lines of the writer")


def _without(trial: Trial, what: str, sources: Sequence[Source], writer: type[Writer]) -> None:
    """The control: the same with a writer that lacks the protection."""
    outcomes = [_run(trial, Plan(source, writer, ROUND_HITS, trial.random.random(), lock_s=1.0)) for source in sources]
    wrong = sum(sum(outcome.wrong.values()) for outcome in outcomes)
    trial.controlled(what, wrong, sum(outcome.acknowledged for outcome in outcomes))


def _run(trial: Trial, plan: Plan) -> Outcome:
    """One round. A deadlock shows as a process that does not end."""
    place = trial.place()
    code = wait_for_child(start_child(lambda: _offer_and_tell(place.runtime, plan)), ROUND_S)
    assert code == 0, f"a round ended with {code}"
    return msgspec.json.decode((place.runtime / OUTCOME).read_bytes(), type=Outcome)


def _offer_and_tell(folder: Path, plan: Plan) -> None:
    """A round, in its process."""
    run = Round(folder, plan)
    reader = start_child(lambda: _read(run.ring.path, folder))
    with plan.source(run):
        run.offer_on()
    run.writer.settle()
    other = threading.Thread(target=run.offer, daemon=True)
    other.start()
    other.join(plan.lock_s)
    run.ring.words[CLOSED] = 1
    wait_for_child(reader)
    read, damaged = msgspec.msgpack.decode((folder / READ).read_bytes(), type=tuple[list[int], int])
    (folder / OUTCOME).write_bytes(msgspec.json.encode(run.outcome(read, damaged, stuck=int(other.is_alive()))))


def _read(path: str, folder: Path) -> None:
    """The reader's process: drain until the writer has closed the ring, and write down what there was."""
    owner = os.getppid()
    ring = open_ring(path)
    reader = Reader(ring.words, ring.data, seed_of(ring.header.ring_id))
    numbers: list[int] = []
    damaged = 0
    while os.getppid() == owner:
        is_closed = ring.words[CLOSED]
        payloads = reader.drain(CAPACITY)
        for payload in payloads:
            numbers.append(int.from_bytes(payload[:NUMBER_BYTES], "little"))
            damaged += payload != payload_of(numbers[-1])
        reader.release(reader.cursor.position)
        if is_closed and not reader.backlog:
            break
        if not payloads:
            time.sleep(POLL_S)
    (folder / READ).write_bytes(msgspec.msgpack.encode((numbers, damaged + reader.cursor.lost)))


ROWS = [
    Row(
        "reentry.signals",
        "what a signal handler records inside offer is there, once, and nothing else is lost",
        by_signals,
        on_every_python=True,
    ),
    Row(
        "reentry.finalizers",
        "the same for finalizers that run inside offer",
        by_finalizers,
        on_every_python=True,
    ),
    Row(
        "reentry.exceptions",
        "an exception thrown inside offer loses nothing acknowledged and leaves the lock free",
        by_exceptions,
        on_every_python=True,
    ),
]
