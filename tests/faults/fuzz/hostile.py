"""Bytes that mean harm, or that a broken disk, a cosmic ray or another program made: values, texts, mutations.

Everything follows from the ``random.Random`` that it is given.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Optional

import msgspec

Chance = random.Random

NUMBERS = (0, 1, 7, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
NEGATIVE = (-1, -128, -(2**31), -(2**63))
FLOATS = (0.0, -0.0, 1e308, -1e308, 5e-324, float("inf"), float("-inf"), float("nan"))
LENGTHS = (1, 15, 255, 4096, 20_000)
TEXTS = (
    *(
        "",
        "\0",
        "\x7f\x1b[2J",
        "\\\"'\n\r\u2028",
        "\U0001f4b8" * 9,
        "\u202eevil",
        "\ufeff",
        "\u00e4" * 40,
        "{id}",
        "%",
        "%00%ff%",
        "NaN",
    ),
    *(
        "[",
        "]:",
        "[::1]:80",
        "a:b:c",
        ".",
        "..",
        "*.amazonaws.com",
        "api.openai.com",
        "@",
        "bot1:x",
        "/services/",
        "/hooks/catch/",
    ),
    *(
        "/v1/chat/completions",
        "/../../../../etc/passwd",
        "//",
        "/Messages",
        "0",
        "-1",
        "1e999",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ),
)
PIECES = (
    "/",
    "a",
    "%2",
    "9",
    "Z9z",
    "/services",
    "bot1:",
    "@",
    "\u00df",
    "{id}",
    "-",
    ".",
    ",;",
    "'\"",
    "e\u0301",
    "_v1beta1",
    "::",
)
BROKEN = (
    b"\xc1",  # a byte that msgpack never uses
    b"\xa3\xff\xfe\xfd",  # no UTF-8
    b"\xa3\xed\xa0\x80",  # half of a surrogate pair
    b"\xdb\xff\xff\xff\xff",  # four gigabytes of text follow
    b"\xc6\xff\xff\xff\xff",  # of bytes
    b"\xdd\xff\xff\xff\xff",  # four billion values follow
    b"\xdf\xff\xff\xff\xff",  # four billion pairs
    b"\xc9\xff\xff\xff\xff\x05",  # an extension of four gigabytes
    b"\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # a time that no date can name
    b"\xd4\x05\x00",  # an extension that nobody knows
)


def number(chance: Chance) -> int:
    """One that is at the edge of something, or near it."""
    if chance.random() < 0.2:
        return chance.choice(NEGATIVE)
    return min(max(chance.choice(NUMBERS) + chance.choice((-1, 0, 0, 0, 1)), 0), 2**64 - 1)


def text(chance: Chance, longest: int = 20_000) -> str:
    """Odd, or long, or both."""
    kind = chance.random()
    if kind < 0.5:
        return chance.choice(TEXTS)
    if kind < 0.8:
        return "".join(chance.choices(PIECES, k=chance.randrange(1, 60)))
    return (chance.choice(PIECES) * chance.choice(LENGTHS))[:longest]


def value(chance: Chance) -> Any:
    """Any value, of any type, for ``msgspec.msgpack.encode``."""
    return chance.choice(VALUES)(chance)


def _values(chance: Chance) -> list[Any]:
    return [value(chance) for _ in range(chance.randrange(4))]


def _pairs(chance: Chance) -> dict[str, Any]:
    return {text(chance, 50): value(chance) for _ in range(chance.randrange(4))}


def nested(chance: Chance) -> msgspec.Raw:
    """Arrays in arrays, or maps in maps, from a few to thousands."""
    opener = chance.choice((b"\x91", b"\x81\xa1k", b"\x91\x81\x01"))
    return msgspec.Raw(opener * chance.choice((3, 100, 900, 1100, 5000)) + b"\xc0")


def event(chance: Chance) -> bytes:
    """The payload of a record: a call whose fields are hostile, most often of the right type."""
    fields: list[Any] = [0, time.time_ns(), 5_000_000, "GET", "https", "api.example.com", "/v1/things", 200, 10, 20]
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(1, len(fields))
        fields[at] = text(chance) if isinstance(fields[at], str) else number(chance)
    if chance.random() < 0.2:
        fields[chance.randrange(len(fields))] = value(chance)
    if chance.random() < 0.2:
        fields += [value(chance) for _ in range(chance.randrange(1, 4))]
    if chance.random() < 0.05:
        del fields[chance.randrange(len(fields)) :]
    packed = msgspec.msgpack.encode(fields)
    return mutated(chance, packed) if chance.random() < 0.2 else packed


def mutated(chance: Chance, data: bytes, most: int = 4) -> bytes:
    """``data`` with a few changes: bits, bytes, cuts, repetitions, a piece from elsewhere."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, most + 1)):
        _mutate(chance, changed)
    return bytes(changed)


def _mutate(chance: Chance, data: bytearray) -> None:
    at = chance.randrange(len(data) + 1)
    size = min(chance.choice((1, 2, 8, 64, 4096)), len(data) - at)
    kind = chance.randrange(7)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        data[at : at + size] = chance.randbytes(size)
    elif kind == 2:
        data[at : at + size] = bytes([chance.choice((0, 0xFF))]) * size
    elif kind == 3:
        del data[at : at + size]
    elif kind == 4:
        data[at:at] = data[at : at + size]
    elif kind == 5:
        start = chance.randrange(len(data) + 1)
        data[at : at + size] = data[start : start + size]
    elif chance.random() < 0.3:
        del data[at:]


def word(chance: Chance, near: Optional[int] = None) -> int:
    """A value for a word of 64 bits; sometimes one a little off from ``near``."""
    if near is not None and chance.random() < 0.4:
        return (near + chance.choice((-(2**16), -4096, -24, -8, -1, 1, 8, 24, 4096, 2**16))) % 2**64
    return chance.choice((*NUMBERS, chance.getrandbits(64)))


VALUES: tuple[Callable[[Chance], Any], ...] = (
    *(number, text, nested, _values, _pairs),
    lambda chance: chance.choice(FLOATS),
    lambda chance: chance.choice((None, True, False, b"", b"\0" * 100)),
    lambda chance: msgspec.Raw(chance.choice(BROKEN)),
)
