"""What a reader may see of a writer's stores, in whatever order they become visible.

A recording memory notes every store of the real ``Writer``.  A *state* is any subset of the eight-byte stores of the
last records, on top of what the laps before them left, with any value that the tail had meanwhile: everything that a
machine with weak memory may show.  The real ``Reader`` reads the state, and then the memory in which all is visible.

Laps repeat their sizes, so that a record of the lap before lies exactly where the new one goes: whole, valid for its
own position, and wrong.  The control is a CRC that knows neither ring nor position.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional

from recost.ring.layout import HEAD, LENGTH_AND_SEQUENCE, PAGE, PREFIX_BYTES, RECORD_PREFIX, RECORDS, TAIL, WORD
from recost.ring.layout import record_bytes as size_of
from recost.ring.reader import UNKNOWN, Cursor, Reader
from recost.ring.sentinel import new_sentinel
from recost.ring.writer import Writer
from tests.faults.ring.torn_words import TORN_WORDS
from tests.faults.row import Row, Trial

CAPACITY = 256
RING_SEED = 0x5EED5EED
HALF_WORD = 4
LAPS = (
    (48, 48, 48, 48),
    (8, 24, 48, 48, 48),
    (24, 24, 40, 40, 48),
    (16, 16, 16, 48, 48, 16),
    (40, 8, 24, 8, 16, 24, 16),
)
"""Payload sizes of records that fill the ring exactly once."""
FORWARDS = ((), (16,), (8,))
"""Payload sizes before the first lap; they decide which records wrap around the end."""
MOST_PIECES = (10, 12)
"""Quick and full: situations whose last records take more stores have too many states."""


class Store(NamedTuple):
    """What one store instruction puts in place."""

    word: Optional[int]
    """Index of a word; None: ``value`` goes into the data area."""
    at: int
    value: bytes


class Situation(NamedTuple):
    """Payloads that were published and read, over a lap and more, and those whose stores are on their way."""

    before: tuple[bytes, ...]
    last: tuple[bytes, ...]


class PlainSeed(int):
    """A seed that stays the same whatever is added to it: the control's CRC."""

    def __add__(self, _position: int) -> PlainSeed:
        return self


class RecordedWords:
    """The words of a ring that note each store."""

    def __init__(self, stores: list[Store]) -> None:
        self._values = memoryview(bytearray(2 * PAGE)).cast("Q")
        self._stores = stores

    def __getitem__(self, index: int) -> int:
        return self._values[index]

    def __setitem__(self, index: int, value: int) -> None:
        self._values[index] = value
        self._stores.append(Store(index, 0, value.to_bytes(WORD, "little")))


class RecordedData:
    """The data area, the same way: a slice is stored word by word."""

    def __init__(self, stores: list[Store]) -> None:
        self.bytes = bytearray(CAPACITY)
        self._stores = stores

    def __len__(self) -> int:
        return CAPACITY

    def __setitem__(self, place: slice, value: bytes) -> None:
        self.bytes[place] = value
        self._stores += [
            Store(None, place.start + at, bytes(value[at : at + WORD])) for at in range(0, len(value), WORD)
        ]


class Scene:
    """A situation carried out by a real writer, and a memory to show its states in."""

    def __init__(self, situation: Situation, seed: int) -> None:
        self.stores: list[Store] = []
        words, data = RecordedWords(self.stores), RecordedData(self.stores)
        writer = Writer(words, data, seed, new_sentinel())
        for payload in situation.before:
            assert writer.offer(payload)
            words[HEAD] = words[TAIL]
        self.start, self.sequence = words[TAIL], words[RECORDS]
        self._old = bytes(data.bytes)
        self.stores.clear()
        for payload in situation.last:
            assert writer.offer(payload)
        self._new = bytes(data.bytes)
        self.last = situation.last
        self._seed = seed
        self._words = memoryview(bytearray(2 * PAGE)).cast("Q")
        self._data = memoryview(bytearray(CAPACITY))

    @property
    def pieces(self) -> list[Store]:
        """The stores into the data area."""
        return [store for store in self.stores if store.word is None]

    @property
    def tails(self) -> list[int]:
        """The values that the tail had, but for the first, at which nothing is published."""
        return [int.from_bytes(store.value, "little") for store in self.stores if store.word == TAIL]

    def show(self, visible: Iterable[Store], tail: int, records: int = 0) -> None:
        """Put the memory into a state: these pieces of data, and these words."""
        data = self._data
        data[:] = self._old
        for _, at, value in visible:
            data[at : at + len(value)] = value
        self._words[TAIL], self._words[RECORDS] = tail, records

    def show_all(self) -> None:
        self._data[:] = self._new
        self._words[TAIL] = self.start + sum(map(size_of, map(len, self.last)))

    def reader(self, sequence: int) -> Reader:
        return Reader(self._words, self._data, self._seed, Cursor(self.start, sequence))

    def readable(self, tail: int) -> int:
        """How many of the last records are published and whole in the state that is shown."""
        at = self.start
        for count, payload in enumerate(self.last):
            end = at + size_of(len(payload))
            if end > tail or not self._is_whole(at % CAPACITY, end - at):
                return count
            at = end
        return len(self.last)

    def _is_whole(self, start: int, size: int) -> bool:
        around = max(0, start + size - CAPACITY)
        data, new = self._data, self._new
        return data[start : start + size] == new[start : start + size] and data[:around] == new[:around]


def in_any_order(trial: Trial) -> None:
    """Every state of every situation; then the same situations with the control's CRC."""
    situations = [situation for situation in _situations(trial) if _pieces(situation) <= trial.size(*MOST_PIECES)]
    trial.plan(sum(map(_count_states, situations)))
    for situation in situations:
        scene = Scene(situation, RING_SEED)
        states = crashes = 0
        for visible, tail, sequence in _weak_states(scene):
            states += 1
            found = _read(scene, visible, tail, sequence)
            if found:
                trial.violated(f"{found}: {_told(scene, visible, tail, sequence)}")
        for prefix in _crash_states(scene):
            crashes += 1
            found = _read_after_crash(scene, prefix)
            if found:
                trial.violated(f"{found}: the writer died after {prefix[-1:]} of {situation}")
        trial.tried(states + crashes)
    _try_without_seed(trial, situations)


def _try_without_seed(trial: Trial, situations: Sequence[Situation]) -> None:
    states = wrong = numbered = 0
    for situation in situations:
        scene = Scene(situation, PlainSeed(0))
        for visible, tail, sequence in _weak_states(scene):
            states += 1
            if _read(scene, visible, tail, sequence):
                wrong += 1
                numbered += sequence != UNKNOWN
    trial.controlled("the ring and the position in the CRC's seed", wrong, states)
    trial.figure(f"the control misled {numbered:,} readers that know the next number, {wrong - numbered:,} others")


def _read(scene: Scene, visible: tuple[Store, ...], tail: int, sequence: int) -> str:
    """What is wrong with what a reader makes of the state, and of the memory in which everything is visible."""
    scene.show(visible, tail)
    reader = scene.reader(sequence)
    found = reader.drain(CAPACITY)
    whole = scene.readable(tail)
    if found != list(scene.last[:whole]):
        return f"{whole} whole records, read {found}"
    scene.show_all()
    found += reader.drain(CAPACITY)
    if found != list(scene.last) or reader.cursor.lost:
        return f"everything is visible, read {found}, {reader.cursor.lost} counted as lost"
    return ""


def _read_after_crash(scene: Scene, prefix: Sequence[Store]) -> str:
    """What is wrong with what is read of a writer that died after these stores, in order."""
    words = {store.word: int.from_bytes(store.value, "little") for store in prefix if store.word is not None}
    tail, records = words.get(TAIL, scene.start), words.get(RECORDS, scene.sequence)
    scene.show((store for store in prefix if store.word is None), tail, records)
    reader = scene.reader(scene.sequence)
    found = [payload for _ in range(2) for payload in reader.drain(CAPACITY, owner_gone=True)]
    published = sum(value <= tail for value in scene.tails)
    if found == list(scene.last[:published]) and reader.cursor.position == tail and not reader.cursor.lost:
        return ""
    return f"{published} published, read {found}, {reader.cursor}"


def _weak_states(scene: Scene) -> Iterator[tuple[tuple[Store, ...], int, int]]:
    """(pieces that are visible, visible tail, number that the reader expects) for every state of the scene.

    A reader whose spool was lost knows no number; that is the one whom nothing but the CRC protects.
    """
    subsets = list(_subsets(scene.pieces))
    return itertools.product(subsets, scene.tails, (scene.sequence, UNKNOWN))


def _crash_states(scene: Scene) -> Iterator[list[Store]]:
    """The stores so far, after every four bytes of data and every word."""
    done: list[Store] = []
    for store in scene.stores:
        if store.word is None and len(store.value) > HALF_WORD:
            yield [*done, store._replace(value=store.value[:HALF_WORD])]
        done.append(store)
        yield list(done)


def _subsets(pieces: list[Store]) -> Iterator[tuple[Store, ...]]:
    return itertools.chain.from_iterable(itertools.combinations(pieces, size) for size in range(len(pieces) + 1))


def _pieces(situation: Situation) -> int:
    return sum(-(-(PREFIX_BYTES + len(payload)) // WORD) for payload in situation.last)


def _count_states(situation: Situation) -> int:
    scene = Scene(situation, RING_SEED)
    return (2 * len(scene.tails) << len(scene.pieces)) + sum(1 for _ in _crash_states(scene))


def _situations(trial: Trial) -> Iterator[Situation]:
    pending = trial.size((1, 2), (1, 2, 3))
    for lap, forward, repeats in itertools.product(LAPS, FORWARDS, (True, False)):
        for first in range(trial.size(1, len(lap) - 1)):
            for count in pending:
                yield _laps(trial.random, (*forward, *lap, *lap[:first]), lap[first : first + count], repeats=repeats)
    for number in range(trial.size(12, 60)):
        yield _record_in_a_payload(trial.random, number)


def _laps(chance: random.Random, before: Sequence[int], last: Sequence[int], *, repeats: bool) -> Situation:
    """Records of these sizes; ``repeats``: those of one size are all the same, as calls in a loop are."""
    same = {size: chance.randbytes(size) for size in (*before, *last)}
    made = [same[size] if repeats else chance.randbytes(size) for size in (*before, *last)]
    return Situation(tuple(made[: len(before)]), tuple(made[len(before) :]))


def _record_in_a_payload(chance: random.Random, number: int) -> Situation:
    """Where the second record goes, a payload of the last lap holds bytes that look like it, with the number due."""
    first, second = chance.choice([(8, 8), (8, 1), (1, 8), (0, 16), (5, 12)])
    forged = chance.randbytes(second)
    body = LENGTH_AND_SEQUENCE.pack(second, 5 + number % 2) + forged
    image = RECORD_PREFIX.pack(zlib.crc32(body), second, 5 + number % 2) + forged
    gap = size_of(first) - PREFIX_BYTES
    payload = (chance.randbytes(gap) + image).ljust(48, b"\0")
    forward = [chance.randbytes(16)] * (number % 2)
    before = (*forward, payload, *(chance.randbytes(48) for _ in range(3)))
    return Situation(before, (chance.randbytes(first), chance.randbytes(second)))


def _told(scene: Scene, visible: tuple[Store, ...], tail: int, sequence: int) -> str:
    at = [store.at for store in visible]
    return f"visible {at}, tail {tail}, expecting number {sequence}, last records {scene.last} at {scene.start}"


ROWS = [
    Row(
        "memory.order",
        "whatever order stores become visible in, no wrong record is read, and each whole one is",
        in_any_order,
    ),
    TORN_WORDS,
]
