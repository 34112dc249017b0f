"""The worker's end of the ring."""

from __future__ import annotations

import collections
import sys
import zlib
from types import FrameType
from typing import Optional, Protocol

from recost._native import new_rlock
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

    Never blocks on another process and never raises.  State: ``_next`` (tail, sequence, deferred record just
    stored) is replaced in one assignment *before* ``tail`` is published, so an exception that a signal handler
    throws between two lines leaves a ring that the next ``offer`` continues without a gap or a repeat.
    ``_limit``: how far the tail may go before the collector's head is looked at again.
    """

    __slots__ = (
        "_busy",
        "_capacity",
        "_closed",
        "_data",
        "_deferred",
        "_limit",
        "_lock",
        "_mask",
        "_max_record",
        "_next",
        "_ours",
        "_seed",
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
        self._lock = new_rlock()
        self._busy = False
        self._closed = False
        self._next: tuple[int, int, Optional[Record]] = (words[TAIL], words[RECORDS], None)
        self._deferred: collections.deque[Record] = collections.deque()

    def offer(self, payload: bytes) -> bool:
        """Append one record. False: refused and counted, or this ring is closed, or it is the parent's."""
        if not self._ours[0]:  # before the lock: another thread may have held it at the fork
            return False
        try:
            with self._lock:  # the ring has one producer, so threads take turns
                if self._busy and self._is_reentered():  # a signal handler or a finalizer made a call
                    self._deferred.append([payload])
                    return not self._closed
                if self._closed:
                    return False
                self._busy = True
                if self._deferred:
                    self._store_deferred()
                accepted = self._store(payload, None)
                self._busy = False
            if self._deferred:  # came in while we stored; later ones store themselves, for we are not busy
                self.settle()
        except BaseException:  # a handler threw through us
            try:
                self._let_go()
            except BaseException:  # and another amid that
                self._let_go()
                raise
            raise
        return accepted

    def settle(self) -> None:
        """Publish what an interrupted ``offer`` has left aside."""
        if not self._ours[0]:
            return
        try:
            with self._lock:
                if self._busy and self._is_reentered():
                    return
                self._busy = True
                self._store_deferred()
                self._busy = False
        except BaseException:  # a handler threw through us
            try:
                self._let_go()
            except BaseException:  # and another amid that
                self._let_go()
                raise
            raise

    def close(self) -> None:
        """Publish what is left aside, then nothing more: a later ``offer`` returns False."""
        if not self._ours[0]:
            return
        self.settle()
        with self._lock:
            self._closed = True

    @property
    def tail(self) -> int:
        """The position behind the last published record."""
        return self._words[TAIL]

    @property
    def published(self) -> tuple[int, int]:
        """(position, records), by our own account, not by what the file says."""
        return self._next[:2]

    def _is_reentered(self) -> bool:
        """Whether two calls of ours are under way on this thread, one inside the other. Only the stack knows."""
        frame: Optional[FrameType] = sys._getframe()  # noqa: SLF001 - what inspect.currentframe is
        depth = 0
        while frame is not None:
            depth += frame.f_code in _OUTERMOST and frame.f_locals.get("self") is self
            frame = frame.f_back
        return depth > 1

    def _let_go(self) -> None:
        """After an exception from outside: the flag and the lock are nobody's.

        ``with`` and ``finally`` alone would not do: up to Python 3.9 a handler can throw between leaving the block and
        the first step of what it guarantees.  The innermost call leaves both to the one that it interrupted.
        """
        if self._is_reentered():
            return
        self._busy = False
        while self._lock._is_owned():  # noqa: SLF001 - RLock has no public word for it
            self._lock.release()

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
_OUTERMOST = frozenset({Writer.offer.__code__, Writer.settle.__code__})
