"""Calls in memory while no ring can be made: few, the newest, and never the reason for a crash."""

from __future__ import annotations

import collections
import contextlib
from typing import Callable

from recost._native import new_lock, start_thread
from recost._troubles import Troubles
from recost.errors import RecostError
from recost.ring.files import RingFile
from recost.ring.layout import LOST, WORD_MASK
from recost.ring.writer import Writer

MAX_KEPT = 1000
TRY_S = 1.0


class Kept:
    """What waits for a ring, and how many calls none has kept. Any thread."""

    def __init__(self, troubles: Troubles, try_to_open: Callable[[], bool]) -> None:
        """``try_to_open`` makes a ring if it can. True: there is one, or none is wanted any more."""
        self.lost = 0
        self.is_rescued = False
        """A thread tries to make a ring, so nobody else needs to."""
        self._troubles = troubles
        self._try_to_open = try_to_open
        self._payloads: collections.deque[bytes] = collections.deque(maxlen=MAX_KEPT)

    def __len__(self) -> int:
        return len(self._payloads)

    def add(self, payload: bytes) -> None:
        if len(self._payloads) == MAX_KEPT:
            text = f"more than {MAX_KEPT} calls wait for a ring, the oldest are lost"
            self._troubles.during("kept", RecostError(text))
            self.lost += 1
        self._payloads.append(payload)

    def hand_over(self, ring: RingFile, writer: Writer) -> None:
        """There is a ring: it takes all, and what is lost is counted there."""
        while self._payloads:
            writer.offer(self._payloads.popleft())
        lost, self.lost = self.lost, 0
        ring.words[LOST] = ring.words[LOST] + lost & WORD_MASK

    def rescue(self) -> None:
        """No ring can be made now: a thread tries again once a second, and tells the user meanwhile."""
        if self.is_rescued:
            return
        with contextlib.suppress(RuntimeError):  # no threads: the event path tries, once a second
            start_thread(self._try_again, ())
            self.is_rescued = True

    def _try_again(self) -> None:
        pause = new_lock()
        pause.acquire()
        while True:
            self._troubles.tell()
            pause.acquire(timeout=TRY_S)
            if self._try_to_open():
                break
        self.is_rescued = False
