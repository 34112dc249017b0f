"""Hostile rings in the runtime directory of a real leader, beside an honest worker."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
import zlib
from collections.abc import Callable, Iterator

from recost.ring.layout import (
    HEADER_WORDS,
    LENGTH_AND_SEQUENCE,
    PAGE,
    RECORD_PREFIX,
    SESSION_BLOCK,
    TAIL,
    WORD,
    data_offset,
    record_bytes,
    seed_of,
)
from tests.collector.collecting import Worker, file_session
from tests.faults.fuzz import hostile
from tests.faults.fuzz.hosting import BAD, RING_ID, Host
from tests.faults.row import Place

ATTACKS_AT_ONCE = 6
HEADER_SHARE = 0.8
"""So often a changed header gets the checksum that goes with it."""
PRODUCER_WORDS = range(64, 84)
COLLECTOR_WORDS = range(512, 536)
CAPACITIES = (1 << 16, 1 << 16, 1 << 18, 1 << 20)
CAPACITY, DATA_OFFSET, SESSION_BYTES = 3, 4, 5
"""Words of the header."""
MORE_THAN_MEMORY = 1 << 30
CLAIMS = (
    *((CAPACITY, 1 << 27), (CAPACITY, 1 << 30), (CAPACITY, 1 << 40)),
    *((SESSION_BYTES, 1 << 20), (SESSION_BYTES, 150 << 20), (SESSION_BYTES, 1 << 31), (SESSION_BYTES, 1 << 40)),
)


@contextlib.contextmanager
def rings(_place: Place) -> Iterator[Callable[[random.Random], int]]:
    """Attempts on rings: events, records, words, pages, headers, files."""
    host = Host()

    def attempt(chance: random.Random) -> int:
        for _ in range(ATTACKS_AT_ONCE):
            chance.choice(ATTACKS)(host, chance)
        host.check(chance)
        return ATTACKS_AT_ONCE

    yield attempt
    host.finish()


def _offer_events(host: Host, chance: random.Random) -> None:
    """Payloads with everything right about their record."""
    guest = host.invite(_guest(chance))
    for _ in range(chance.randrange(1, 40)):
        guest.writer.offer(hostile.event(chance))


def _offer_long_paths(host: Host, chance: random.Random) -> None:
    """Events as large as a record may be, each another path."""
    guest = host.invite(Worker(file_session(BAD), capacity=1 << 20))
    for _ in range(3):
        while guest.call(f"/{chance.getrandbits(64):x}/{'x/' * chance.choice((60_000, 100_000, 130_000))}"):
            pass
        host.leadership.turn(time.monotonic())


def _forge_records(host: Host, chance: random.Random) -> None:
    """Records with the right checksum and a length, a number or a tail that cannot be."""
    guest = host.invite(_guest(chance))
    guest.calls(chance.randrange(3))
    ring, tail = guest.ring, guest.writer.tail
    payload = hostile.event(chance)[:2000]
    length = chance.choice((len(payload), len(payload), hostile.number(chance) % 2**32))
    body = LENGTH_AND_SEQUENCE.pack(length, hostile.word(chance, guest.writer._next[1])) + payload
    crc = zlib.crc32(body, (seed_of(ring.header.ring_id) + tail) & 0xFFFFFFFF)
    record = RECORD_PREFIX.pack(crc, *LENGTH_AND_SEQUENCE.unpack_from(body)) + payload
    ring.data[tail : tail + len(record)] = record
    ring.words[TAIL] = chance.choice((tail + record_bytes(len(payload)), hostile.word(chance, tail)))


def _overwrite_words(host: Host, chance: random.Random) -> None:
    """Any word, before a collector has seen the ring or after."""
    guest = _some_guest(host, chance)
    guest.calls(chance.randrange(5))
    if chance.random() < 0.5:
        host.leadership.turn(time.monotonic())
    for _ in range(chance.randrange(1, 4)):
        index = chance.choice(chance.choice((PRODUCER_WORDS, COLLECTOR_WORDS)))
        guest.ring.words[index] = hostile.word(chance, guest.ring.words[index])


def _overwrite_bytes(host: Host, chance: random.Random) -> None:
    """Bits of the records, or whole stretches of the file behind the header."""
    guest = _some_guest(host, chance)
    guest.calls(chance.randrange(1, 30))
    memory, data = guest.ring.memory, guest.ring.data
    if chance.random() < 0.5:
        for _ in range(chance.randrange(1, 20)):
            data[chance.randrange(min(guest.writer.tail + 1, len(data)))] ^= 1 << chance.randrange(8)
        return
    start = chance.choice((HEADER_WORDS * WORD, PAGE, 2 * PAGE, SESSION_BLOCK, guest.ring.header.data_offset))
    size = min(chance.choice((8, 512, PAGE, 1 << 16)), len(memory) - start)
    memory[start : start + size] = chance.choice((chance.randbytes(size), b"\xff" * size, bytes(size)))


def _change_header(host: Host, chance: random.Random) -> None:
    """Fields of the header, mostly with the checksum that goes with them."""
    image = _image(chance)
    for _ in range(chance.randrange(1, 3)):
        index = chance.randrange(HEADER_WORDS)
        _put(image, index, hostile.word(chance, _get(image, index)))
    if chance.random() < HEADER_SHARE:
        _seal(image)
    host.leave_file(image)


def _change_file(host: Host, chance: random.Random) -> None:
    """A whole file: cut, mutated, repeated, random, empty."""
    image = bytes(_image(chance))
    random_bytes = chance.randbytes(chance.choice((0, 1, 128, PAGE, 70_000)))
    cut = image[: chance.randrange(len(image))]
    mutated = hostile.mutated(chance, image)
    host.leave_file(chance.choice((cut, mutated, image * 2, random_bytes)), image[RING_ID])


def _leave_large_file(host: Host, chance: random.Random) -> None:
    """A header that claims much, and a file as large as that, most of it a hole."""
    image = _image(chance)
    index, size = chance.choice(CLAIMS)
    space = os.statvfs(os.environ["RECOST_RUNTIME_DIR"])
    if size < MORE_THAN_MEMORY and size > space.f_bavail * space.f_frsize // 2:
        return  # a hole in a full tmpfs is a SIGBUS for whoever touches it
    _put(image, index, size)
    _put(image, DATA_OFFSET, data_offset(_get(image, SESSION_BYTES)))
    _put(image, TAIL, size)
    _seal(image)
    path = host.leave_file(image)
    os.truncate(path, _get(image, DATA_OFFSET) + _get(image, CAPACITY))


def _leave_twin(host: Host, chance: random.Random) -> None:
    """A copy of somebody's living ring, under a name of its own."""
    owner = chance.choice((host.honest, *host.guests))
    host.leave_file(owner.ring.memory[:], chance.randbytes(16))


def _leave_no_file(host: Host, chance: random.Random) -> None:
    """Something else with a ring's name."""
    path = host.leave_file(b"", chance.randbytes(16))
    path.unlink()
    kind = chance.randrange(4)
    if kind == 0:
        path.symlink_to("/etc/passwd")
    elif kind == 1:
        path.symlink_to(path)
    elif kind == 2:
        path.mkdir()
    else:
        os.mkfifo(path)


ATTACKS = (
    *(_offer_events, _offer_events, _offer_events, _offer_long_paths, _forge_records, _overwrite_words),
    *(_overwrite_bytes, _change_header, _change_file, _leave_large_file, _leave_twin, _leave_no_file),
)


def _guest(chance: random.Random) -> Worker:
    return Worker(file_session(BAD), capacity=chance.choice(CAPACITIES))


def _some_guest(host: Host, chance: random.Random) -> Worker:
    """A new one, or one that was here before."""
    if host.guests and chance.random() < 0.5:
        return chance.choice(host.guests)
    return host.invite(_guest(chance))


def _image(chance: random.Random) -> bytearray:
    """The bytes of a sound ring with some calls in it, whose file is gone."""
    owner = Worker(file_session(BAD))
    owner.calls(chance.randrange(5))
    image = bytearray(owner.ring.memory[:])
    os.unlink(owner.ring.path)
    owner.ring.close()
    return image


def _get(image: bytearray, index: int) -> int:
    return int.from_bytes(image[index * WORD : (index + 1) * WORD], sys.byteorder)


def _put(image: bytearray, index: int, value: int) -> None:
    image[index * WORD : (index + 1) * WORD] = value.to_bytes(WORD, sys.byteorder)


def _seal(image: bytearray) -> None:
    """Give the header the checksum that it needs."""
    _put(image, HEADER_WORDS - 1, zlib.crc32(image[: (HEADER_WORDS - 1) * WORD]))
