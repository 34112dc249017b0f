"""The worker's end of the ring."""

from __future__ import annotations

import collections
import contextlib
import sys
import zlib
from types import FrameType
from typing import Optional, Protocol

from recost._native import native
from recost.ring.layout import (
    CRC,
    DROPPED_BIG,
    DROPPED_FULL,
    HEAD,
    LENGTH_AND_SEQUENCE,
    PREFIX_BYTES,
    RECORDS,
    TAIL,
    WORD_MASK,
    max_record_bytes,
)
from recost.ring.sentinel import Sentinel

Record = list[bytes]
"""A payload in a list of its own: which call's it is can be told, also of equal ones."""

PAUSE_S = 0.00005
"""Between two looks for a free turn: another thread has it for microseconds, unless it is stopped amid them."""

FRAME, ALIGNED = PREFIX_BYTES + 7, ~7


class Words(Protocol):
    """The file's words: a ``memoryview`` cast to ``"Q"``."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


class Data(Protocol):
    """The data area: a ``memoryview`` of bytes."""

    def __setitem__(self, place: slice, value: bytes, /) -> None: ...
    def __len__(self) -> int: ...


class Writer:
    """Publishes records. Any thread, signal handler or finalizer may call ``offer`` at any time.

    Never blocks on another process and never raises.  The ring has one producer, so calls take turns: the one whose
    record is in ``_turn`` has it.  Taking the turn is one step of the interpreter that also says whose it is (the same
    list in no other call), so no exception that a signal handler throws can leave that open; and a call that finds
    itself inside of the one that has it need not wait for ever.  A lock takes more steps, and knows no calls.

    State: ``_next`` (tail, sequence, deferred record just stored) is replaced in one assignment *before* ``tail`` is
    published, so an exception that comes between two lines leaves a ring that the next ``offer`` continues without a
    gap or a repeat.  ``_limit``: how far the tail may go before the collector's head is looked at again.
    """

    __slots__ = (
        "_capacity",
        "_closed",
        "_data",
        "_deferred",
        "_limit",
        "_mask",
        "_max_record",
        "_next",
        "_ours",
        "_seed",
        "_turn",
        "_words",
        "refused",
    )

    def __init__(self, words: Words, data: Data, seed: int, ours: Sentinel) -> None:
        self._words = words
        self._data = data
        self._seed = seed
        self._ours = ours
        self.refused = 0
        """By our own account, as ``published``: another program may write over the file's."""
        self._capacity = len(data)
        self._mask = len(data) - 1
        self._max_record = max_record_bytes(len(data))
        self._limit = 0
        self._turn: dict[int, Record] = {}
        self._closed = False
        self._next: tuple[int, int, Optional[Record]] = (words[TAIL], words[RECORDS], None)
        self._deferred: collections.deque[Record] = collections.deque()

    def offer(self, payload: bytes) -> bool:
        """Append one record. False: refused and counted, or this ring is closed, or it is the parent's."""
        if not self._ours[0]:  # before the turn: another thread may have had it at the fork
            return False
        mine = [payload]
        try:
            if self._turn.setdefault(0, mine) is not mine and not self._wait(mine):
                return self._defer(mine)
            if self._deferred:
                self._store_deferred()
            accepted = not self._closed and self._store(payload, None)
            del self._turn[0]
            if self._deferred:  # came in while we stored; later ones store themselves, for the turn is free
                self.settle()
        except BaseException:  # a handler threw through us
            self._give_back(mine)
            raise
        return accepted

    def settle(self) -> None:
        """Publish what an interrupted ``offer`` has left aside."""
        self._settle(closes=False)

    def close(self) -> None:
        """Publish what is left aside, then nothing more: a later ``offer`` returns False."""
        self._settle(closes=True)

    @property
    def tail(self) -> int:
        """The position behind the last published record."""
        return self._words[TAIL]

    @property
    def published(self) -> tuple[int, int]:
        """(position, records), by our own account, not by what the file says."""
        return self._next[:2]

    def _settle(self, *, closes: bool) -> None:
        if not self._ours[0]:
            return
        mine = [b""]
        try:
            is_ours = self._wait(mine)
            if is_ours:
                self._store_deferred()
            if closes:
                self._closed = True
            if is_ours:
                self._store_deferred()  # what came in between
                del self._turn[0]
        except BaseException:  # a handler threw through us
            self._give_back(mine)
            raise

    def _defer(self, mine: Record) -> bool:
        """For the call that we are inside of to store."""
        if self._closed:
            return False
        self._deferred.append(mine)
        return True

    def _wait(self, mine: Record) -> bool:
        """Take the turn as soon as it is free. False: a call has it that we are inside of, so it waits for us."""
        while (holder := self._turn.setdefault(0, mine)) is not mine:
            if _is_under(sys._getframe(), holder):  # noqa: SLF001 - what inspect.currentframe is
                return False
            if _is_under_way(holder):
                _sleep(PAUSE_S)
            else:  # a second exception came before the first one's call could give it back
                self._give_back(holder)
        return True

    def _give_back(self, record: Record) -> None:
        # Others may be giving it back, too: so no call between look and deletion, for at one, threads change.
        with contextlib.suppress(KeyError):
            if self._turn[0] is record:
                del self._turn[0]

    def _store_deferred(self) -> None:
        while self._deferred:
            first = self._deferred[0]
            # Its identity in _next says that it is stored already: an exception came before the popleft.
            if self._next[2] is not first:
                self._store(first[0], first)
            self._deferred.popleft()

    def _store(self, payload: bytes, deferred: Optional[Record]) -> bool:
        # Short and without calls into other files: after a pause every line of memory touched costs more than
        # what is computed.
        tail, sequence, _ = self._next
        end = tail + (len(payload) + FRAME & ALIGNED)  # record_bytes()
        if end > self._limit and not self._has_room(tail, end - tail):
            return False
        body = _pack_body_prefix(len(payload), sequence) + payload
        record = _pack_crc(_crc32(body, self._seed + tail)) + body  # of the seed it takes the low 32 bits
        start = tail & self._mask
        stop = start + len(record)
        if stop <= self._capacity:
            self._data[start:stop] = record
        else:
            self._wrap(start, record)
        sequence += 1
        self._next = (end, sequence, deferred)
        words = self._words
        words[TAIL] = end  # publish; only the count may follow
        words[RECORDS] = sequence
        return True

    def _has_room(self, tail: int, size: int) -> bool:
        """Look at the head, a line of memory that the collector writes, and allow for as much as one record may take.

        So no record that is too big passes by the limit, and thousands pass without a look.
        """
        words = self._words
        if size > self._max_record:
            self.refused += 1
            words[DROPPED_BIG] = words[DROPPED_BIG] + 1 & WORD_MASK
            return False
        room = self._capacity - (tail - words[HEAD])
        # A head beyond the tail is no head of ours: refuse rather than overwrite.
        if not size <= room <= self._capacity:
            self.refused += 1
            words[DROPPED_FULL] = words[DROPPED_FULL] + 1 & WORD_MASK
            return False
        self._limit = tail + min(room, self._max_record)
        return True

    def _wrap(self, start: int, record: bytes) -> None:
        """Store a record that goes on at the beginning of the data area."""
        room = self._capacity - start
        self._data[start : self._capacity] = record[:room]
        self._data[0 : len(record) - room] = record[room:]


_crc32 = zlib.crc32
_pack_crc = CRC.pack
_pack_body_prefix = LENGTH_AND_SEQUENCE.pack
_sleep = native("time", "sleep")
_OUTERMOST = frozenset({Writer.offer.__code__, Writer._settle.__code__})  # noqa: SLF001 - this module's own


def _is_under(top: FrameType, holder: Record) -> bool:
    """Whether the call whose record is ``holder`` is on the stack that ends in ``top``. Only a stack knows."""
    frame: Optional[FrameType] = top
    while frame is not None:
        if frame.f_code in _OUTERMOST and frame.f_locals.get("mine") is holder:
            return True
        frame = frame.f_back
    return False


def _is_under_way(holder: Record) -> bool:
    """Whether any thread is in the call whose record is ``holder``."""
    tops = sys._current_frames()  # noqa: SLF001 - documented, and so called since it is for special purposes
    return any(_is_under(top, holder) for top in tops.values())
