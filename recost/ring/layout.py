"""Where each field of a ring file lives, who may write it, and the rules that hold the ring together.

A word is eight bytes in the machine's own order; ``W`` numbers below count words from the start of the file.

    page 0       header, immutable once the file has its name
      W 0        magic
      W 1        byte-order mark
      W 2        layout: major << 32 | minor
      W 3        capacity of the data area in bytes, a power of two
      W 4        offset of the data area in bytes
      W 5        length of the session block in bytes
      W 6        CRC32 of the session block
      W 7, 8     ring id, random
      W 9, 10    boot id of the kernel
      W 11       pid of the producer, as the producer sees it
      W 12       start time of that process in clock ticks since boot
      W 13       inode of its pid namespace
      W 14       made at, ns since the epoch
      W 15       CRC32 of words 0 to 14
                 the producer's words
      W 64       tail              bytes published since the ring was made; only grows
      W 65       records           records published
      W 72       dropped_full      records refused because there was no room
      W 73       dropped_big       records refused because they can never fit
      W 74       faults            bugs of ours, contained in the worker
      W 75       lost              calls that no ring kept: an earlier one of this process was damaged, or none could
                                   be made (since minor 1)
      W 80       flush_requested   the position up to which the worker wants a delivery attempt
      W 81       closed            1: the producer has finished in good order
      W 82       flushes           flushes asked for since the ring was made
    page 1       the collector's words, all rewritten by the one that leads, twice a second
      W 512      head              bytes released since the ring was made; only grows
      W 520      heartbeat         turns of the leader; any change is a sign of life
      W 521      epoch             of the leader
      W 528      flushed_through   the position before which every window has settled
      W 529      flush_status      last delivery: 0 none yet, 1 ok, 2 error
      W 530      flush_size        its window size in metric entries
      W 531      flush_at_ms       its time, ms since the epoch
      W 532      auth_failures     401s in a row for this ring's key
      W 533      notices           notices written since the ring was made
      W 534      flushes_done      the flush, counted as in ``flushes``, whose attempt is over
    page 2       notice area: 8 slots of 512 bytes, notice ``n`` in slot ``n % 8``
                 CRC32, length, number (``NOTICE_PREFIX``), then the notice as msgpack
    page 3 ...   session block: the worker's registration as msgpack (with the key: the file is 0600)
    data area    starts on a page; ``capacity`` bytes of records

A record starts on a multiple of eight bytes, may wrap around the end of the data area, and is

    CRC32 (4)  length of the payload (4)  sequence number (8)  payload  padding to 8

Three rules.

1.  The producer fills in a record completely, then moves ``tail``.  The collector copies a record completely,
    commits what became of it, then moves ``head``.
2.  Words are stored through a ``memoryview`` cast to ``"Q"``, which is a single eight-byte store.
    ``struct.pack_into`` is not: it writes zeros first, and the other process can see them.
3.  Nothing relies on the processor keeping stores in order: x86-64 does, arm64 need not, and Python has no
    barrier.  So a record validates itself.  Its CRC is seeded with the ring id and the absolute position:
    CRC32 is a bijection of its seed, so the record of an earlier lap, whole and valid for *its* position,
    fails for certain at this one, where a plain CRC would accept it.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

MAJOR = 1
"""Changes when an older reader would misread the file. Part of the runtime directory's name."""
MINOR = 1
"""Changes when words or notice kinds are added; readers of an older minor go on reading."""

WORD = 8
PAGE = 4096
MAGIC = int.from_bytes(b"recost\x9dR", "little")
BYTE_ORDER_MARK = 0x0102030405060708

HEADER_WORDS = 16
TAIL, RECORDS = 64, 65
DROPPED_FULL, DROPPED_BIG, FAULTS, LOST = 72, 73, 74, 75
FLUSH_REQUESTED, CLOSED, FLUSHES = 80, 81, 82

HEAD = 512
HEARTBEAT, EPOCH = 520, 521
FLUSHED_THROUGH, FLUSH_STATUS, FLUSH_SIZE, FLUSH_AT_MS, AUTH_FAILURES = 528, 529, 530, 531, 532
NOTICES, FLUSHES_DONE = 533, 534
FLUSH_NONE, FLUSH_OK, FLUSH_ERROR = 0, 1, 2

NOTICE_AREA = 2 * PAGE
NOTICE_SLOTS = 8
NOTICE_BYTES = 512
NOTICE_PREFIX = struct.Struct("<IIQ")

SESSION_BLOCK = 3 * PAGE
MIN_CAPACITY = 64 << 10
MAX_CAPACITY = 1 << 30
MAX_SESSION_BYTES = 1 << 20
"""Room for ten thousand custom providers. A collector holds what it decodes of it, several times over."""

CRC = struct.Struct("<I")
LENGTH_AND_SEQUENCE = struct.Struct("<IQ")
RECORD_PREFIX = struct.Struct("<IIQ")
PREFIX_BYTES = RECORD_PREFIX.size
SEED_MASK = 0xFFFFFFFF
WORD_MASK = 0xFFFFFFFFFFFFFFFF
"""For counters: another program may have written the largest number there."""


class Header(NamedTuple):
    """Page 0's immutable words, in their order from word 3 on."""

    capacity: int
    data_offset: int
    session_bytes: int
    session_crc: int
    ring_id: bytes
    boot_id: bytes
    pid: int
    process_start: int
    pid_namespace: int
    created_at_ns: int

    @property
    def name(self) -> str:
        return self.ring_id.hex()

    @property
    def file_bytes(self) -> int:
        return self.data_offset + self.capacity


class BadRing(Exception):  # noqa: N818 - a finding about a file, not an error of the program
    """The file is no ring that this version can read; the text says why."""


class OtherLayout(BadRing):
    """It says that it is one of another major layout: left alone, for a version that reads it."""


def data_offset(session_bytes: int) -> int:
    """Where the data area starts behind a session block of that length."""
    return SESSION_BLOCK + -(-session_bytes // PAGE) * PAGE


def record_bytes(payload_bytes: int) -> int:
    """What a payload takes in the data area, with prefix and padding."""
    return (PREFIX_BYTES + payload_bytes + 7) & ~7


def max_record_bytes(capacity: int) -> int:
    """A record may take a quarter of the ring, so that one giant cannot starve the rest."""
    return capacity // 4


def seed_of(ring_id: bytes) -> int:
    """The part of a record's CRC seed that is the same for the whole ring; the position is added to it."""
    return zlib.crc32(ring_id)


def pack_header(header: Header) -> bytes:
    """The first ``HEADER_WORDS`` words of a file."""
    words = [
        MAGIC,
        BYTE_ORDER_MARK,
        MAJOR << 32 | MINOR,
        header.capacity,
        header.data_offset,
        header.session_bytes,
        header.session_crc,
        *_halves(header.ring_id),
        *_halves(header.boot_id),
        header.pid,
        header.process_start,
        header.pid_namespace,
        header.created_at_ns,
    ]
    packed = struct.pack(f"={len(words)}Q", *words)
    return packed + struct.pack("=Q", zlib.crc32(packed))


def unpack_header(page: bytes, file_bytes: int) -> Header:
    """The header in ``page``, checked against the size of the file. Raises ``BadRing``."""
    if len(page) < HEADER_WORDS * WORD:
        raise BadRing(f"{file_bytes} bytes are too few for a ring")
    words = struct.unpack_from(f"={HEADER_WORDS}Q", page)
    if words[0] != MAGIC:
        raise BadRing("no ring: the magic is missing")
    if words[1] != BYTE_ORDER_MARK:
        raise BadRing("written by a machine of another byte order")
    if words[2] >> 32 != MAJOR:
        raise OtherLayout(f"layout {words[2] >> 32}, this version reads {MAJOR}")
    if words[15] != zlib.crc32(page[: (HEADER_WORDS - 1) * WORD]):
        raise BadRing("the header's checksum is wrong")
    ring_id = struct.pack("=2Q", *words[7:9])
    boot_id = struct.pack("=2Q", *words[9:11])
    header = Header(words[3], words[4], words[5], words[6], ring_id, boot_id, *words[11:15])
    _check_sizes(header, file_bytes)
    return header


def _check_sizes(header: Header, file_bytes: int) -> None:
    capacity = header.capacity
    if not MIN_CAPACITY <= capacity <= MAX_CAPACITY or capacity & (capacity - 1):
        raise BadRing(f"capacity={capacity}: no power of two from {MIN_CAPACITY} to {MAX_CAPACITY}")
    if header.session_bytes > MAX_SESSION_BYTES:
        raise BadRing(f"session_bytes={header.session_bytes}: more than {MAX_SESSION_BYTES}")
    if header.data_offset != data_offset(header.session_bytes):
        raise BadRing(f"data_offset={header.data_offset} does not fit session_bytes={header.session_bytes}")
    if header.file_bytes > file_bytes:
        raise BadRing(f"the file has {file_bytes} bytes, its header wants {header.file_bytes}")


def _halves(sixteen: bytes) -> tuple[int, int]:
    first, second = struct.unpack("=2Q", sixteen)
    return first, second
