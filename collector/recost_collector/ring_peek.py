"""What a ring says of itself, in one look: not mapped, locked or changed. A look at a full disk takes no room."""

from __future__ import annotations

import os
import stat
import zlib
from typing import NamedTuple

from recost import session
from recost.ring.layout import HEADER_WORDS, HEARTBEAT, PAGE, SESSION_BLOCK, WORD, BadRing, Header, unpack_header


class RingPeek(NamedTuple):
    header: Header
    words: memoryview
    """Of both pages, as they were."""
    session: session.Session


def peek(fd: int) -> RingPeek:
    """Of the ring that is open as ``fd``. Raises ``BadRing``, ``OtherLayout``, and what ``session.decode`` does."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise BadRing("no regular file of this user")
    header = unpack_header(os.pread(fd, HEADER_WORDS * WORD, 0), found.st_size)
    block = os.pread(fd, header.session_bytes, SESSION_BLOCK)
    if zlib.crc32(block) != header.session_crc:
        raise BadRing("the session block's checksum is wrong")
    words = memoryview(os.pread(fd, 2 * PAGE, 0)).cast("Q")
    return RingPeek(header, words, session.decode(block).session)


def beat(fd: int) -> bytes:
    """The collector's heartbeat in it: only whether it moves says something."""
    return os.pread(fd, WORD, HEARTBEAT * WORD)
