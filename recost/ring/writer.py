"""The worker's end of the ring."""

from __future__ import annotations

import collections
import zlib
from typing import Optional, Protocol

from recost._native import new_rlock
from recost.ring.layout import (
    CRC,
    DROPPED_BIG,
    DROPPED_FULL,
    HEAD,
    LENGTH_AND_SEQUENCE,
    RECORDS,
    SEED_MASK,
    TAIL,
    max_record_bytes,
    record_bytes,
)
from recost.ring.sentinel import Sentinel


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
    """

    def __init__(self, words: Words, data: Data, seed: int, ours: Sentinel) -> None:
        self._words = words
        self._data = data
        self._seed = seed
        self._ours = ours
        self._capacity = len(data)
        self._max_record = max_record_bytes(len(data))
        self._lock = new_rlock()
        self._busy = False
        self._closed = False
        self._next: tuple[int, int, Optional[list[bytes]]] = (words[TAIL], words[RECORDS], None)
        self._deferred: collections.deque[list[bytes]] = collections.deque()

    def offer(self, payload: bytes) -> bool:
        """Append one record. False: refused and counted, or this ring is closed, or the parent's (``forked``)."""
        if not self._ours[0]:  # before the lock: another thread may have held it at the fork
            return False
        with self._lock:  # the ring has one producer, so threads take turns
            if self._busy:  # we interrupted ourselves: a signal handler or a finalizer made a call
                self._deferred.append([payload])
                return not self._closed
            if self._closed:
                return False
            try:
                self._busy = True
                if self._deferred:
                    self._store_deferred()
                accepted = self._store(payload, None)
            finally:
                self._busy = False
            if self._deferred:  # came in while we stored; later ones store themselves, for we are not busy
                self.settle()
        return accepted

    def settle(self) -> None:
        """Publish what an interrupted ``offer`` has left aside."""
        if not self._ours[0]:
            return
        with self._lock:
            while self._deferred and not self._busy:
                try:
                    self._busy = True
                    self._store_deferred()
                finally:
                    self._busy = False

    def close(self) -> None:
        """Publish what is left aside, then nothing more: a later ``offer`` returns False."""
        if not self._ours[0]:
            return
        self.settle()
        with self._lock:
            self._closed = True

    @property
    def forked(self) -> bool:
        """True in a forked child: the ring belongs to the parent."""
        return not self._ours[0]

    @property
    def tail(self) -> int:
        """The position behind the last published record."""
        return self._words[TAIL]

    def _store_deferred(self) -> None:
        while self._deferred:
            first = self._deferred[0]
            # Its identity in _next says that it is stored already: an exception came before the popleft.
            if self._next[2] is not first:
                self._store(first[0], first)
            self._deferred.popleft()

    def _store(self, payload: bytes, deferred: Optional[list[bytes]]) -> bool:
        tail, sequence, _ = self._next
        size = record_bytes(len(payload))
        words = self._words
        if size > self._max_record:
            words[DROPPED_BIG] += 1
            return False
        # A head beyond the tail is no head of ours: refuse rather than overwrite.
        if not 0 <= tail - words[HEAD] <= self._capacity - size:
            words[DROPPED_FULL] += 1
            return False
        body = LENGTH_AND_SEQUENCE.pack(len(payload), sequence) + payload
        self._fill(tail, CRC.pack(zlib.crc32(body, (self._seed + tail) & SEED_MASK)) + body)
        self._next = (tail + size, sequence + 1, deferred)
        words[TAIL] = tail + size  # publish; only the count may follow
        words[RECORDS] = sequence + 1
        return True

    def _fill(self, position: int, record: bytes) -> None:
        start = position & (self._capacity - 1)
        end = start + len(record)
        if end <= self._capacity:
            self._data[start:end] = record
            return
        room = self._capacity - start
        self._data[start : self._capacity] = record[:room]
        self._data[0 : end - self._capacity] = record[room:]
