"""Rings as bytes, and what can happen to them."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Callable, Union

from recost import session
from recost.event import CallEvent, encode
from recost.ring import layout
from recost.ring.files import create_ring
from recost.session import Destination, Registration, Session
from recost_collector.ring_autopsy import examine
from recost_collector.ring_facts import RingReport
from tests.ring.rings import reader_of, writer_of

CAPACITY = layout.MIN_CAPACITY
KEY = "rc-very-secret-key"
SESSION = Session(Destination("https://u:pw@api.example.com/projects/shop/telemetry?k=1", "shop"), "production")
RECORD = 80
"""Bytes of each record here."""
WAITING, COLLECTED = 30, 10
START_MS = 1_790_000_000_000

Damage = Callable[[bytearray], None]


def call(number: int, path_length: int = 11) -> bytes:
    at_ns = (START_MS + number) * 1_000_000
    path = "/v1".ljust(path_length, "x")
    return encode(CallEvent(at_ns, 5_000_000, "GET", "https", "api.example.com:443", path, 200, 1, 2))


def ring_bytes(directory: Path, calls: int = WAITING + COLLECTED, released: int = COLLECTED) -> bytearray:
    """A ring with so many calls made, and so many of them collected."""
    ring = create_ring(str(directory), session.encode(Registration(SESSION, KEY)), CAPACITY)
    writer, reader = writer_of(ring), reader_of(ring)
    for number in range(calls):
        assert writer.offer(call(number))
        assert reader.drain(1 << 20)
        if number + 1 == released:
            reader.release(reader.cursor.position)
    content = bytearray(Path(ring.path).read_bytes())
    ring.close()
    return content


def read_from(content: Union[bytes, bytearray], offset: int, length: int) -> bytes:
    return bytes(content[offset : offset + length])


def report_on(content: Union[bytes, bytearray], keep: int = 0) -> RingReport:
    return examine(partial(read_from, content), len(content), keep)


def word(index: int, value: int) -> Damage:
    return lambda content: struct.pack_into("=Q", content, index * layout.WORD, value)


def header(index: int, value: int) -> Damage:
    """A header that says so and proves it."""

    def damage(content: bytearray) -> None:
        struct.pack_into("=Q", content, index * layout.WORD, value)
        struct.pack_into("=Q", content, 15 * layout.WORD, zlib.crc32(content[: 15 * layout.WORD]))

    return damage


def data(position: int, new: bytes) -> Damage:
    def damage(content: bytearray) -> None:
        at = struct.unpack_from("=Q", content, 4 * layout.WORD)[0] + position
        content[at : at + len(new)] = new

    return damage


def cut(size: int) -> Damage:
    return lambda content: content.__delitem__(slice(size, None))
