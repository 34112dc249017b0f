"""The notice area: how the collector tells a worker of trouble, without a lock and without waiting for it.

The collector writes notice ``n`` into slot ``n % NOTICE_SLOTS`` and then counts it; the worker reads what is
new.  A slot that is being overwritten fails its checksum and counts as missed.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import msgspec

from recost.event import UNDECODABLE
from recost.notice import Notice, decode, encode
from recost.ring.files import RingFile
from recost.ring.layout import NOTICE_AREA, NOTICE_BYTES, NOTICE_PREFIX, NOTICE_SLOTS, NOTICES

MAX_MISSED = 1 << 32
"""More is nonsense, which another program has written there."""
MAX_TEXT = 130
"""Bytes that each text keeps when a notice is longer than its slot: three of them fit with the rest."""


class Heard(NamedTuple):
    """What is new since a worker's last look."""

    notices: list[Notice]
    missed: int
    """Notices of a burst that were overwritten before we looked."""
    seen: int


def write_notice(ring: RingFile, number: int, notice: Notice) -> None:
    """Put notice ``number`` (counted from 0) into its slot. The caller then stores ``number + 1`` in NOTICES."""
    payload = encode(notice)
    if len(payload) > NOTICE_BYTES - NOTICE_PREFIX.size:
        short = msgspec.structs.replace(
            notice, message=_cut(notice.message), filename=_cut(notice.filename), endpoint=_cut(notice.endpoint)
        )
        payload = encode(short)[: NOTICE_BYTES - NOTICE_PREFIX.size]
    slot = NOTICE_AREA + number % NOTICE_SLOTS * NOTICE_BYTES
    prefix = NOTICE_PREFIX.pack(zlib.crc32(payload, number & 0xFFFFFFFF), len(payload), number)
    ring.memory[slot : slot + len(prefix) + len(payload)] = prefix + payload


def read_notices(ring: RingFile, seen: int) -> Heard:
    """Every notice from number ``seen`` on that is still there."""
    count = ring.words[NOTICES]
    if count - seen > MAX_MISSED:
        return Heard([], 0, seen)
    first = max(seen, count - NOTICE_SLOTS)
    notices = [found for found in (_read(ring, number) for number in range(first, count)) if found is not None]
    return Heard(notices, max(0, count - seen) - len(notices), max(seen, count))


def _read(ring: RingFile, number: int) -> Notice | None:
    slot = NOTICE_AREA + number % NOTICE_SLOTS * NOTICE_BYTES
    crc, length, found = NOTICE_PREFIX.unpack(ring.memory[slot : slot + NOTICE_PREFIX.size])
    payload = ring.memory[slot + NOTICE_PREFIX.size : slot + NOTICE_PREFIX.size + min(length, NOTICE_BYTES)]
    if found != number or zlib.crc32(payload, number & 0xFFFFFFFF) != crc:
        return None
    try:
        return decode(payload)
    except UNDECODABLE:
        return None


def _cut(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= MAX_TEXT else encoded[:MAX_TEXT].decode("utf-8", "ignore") + "…"
