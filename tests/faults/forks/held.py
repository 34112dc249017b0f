"""Threads that stop at a chosen place, so that something else can happen just then, in the same process."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Container, Iterable, Iterator
from types import FrameType
from typing import Any, Callable, Optional

RESUME_S = 60.0
NEVER = 0


class Stops:
    """Comes back to who iterates while another thread has stopped; that one goes on when the next is asked for."""

    def __init__(self) -> None:
        self._news: queue.SimpleQueue[Optional[tuple[int, threading.Event]]] = queue.SimpleQueue()

    def stop(self, value: int = 0) -> None:
        """Until who iterates, and gets ``value``, asks for the next."""
        resume = threading.Event()
        self._news.put((value, resume))
        resume.wait(RESUME_S)

    def end(self) -> None:
        """There are no more."""
        self._news.put(None)

    def __iter__(self) -> Iterator[int]:
        while True:
            stopped = self._news.get(timeout=RESUME_S)
            if stopped is None:
                return
            value, resume = stopped
            yield value
            resume.set()


class Held:
    """Traces threads, and stops one after so many lines of ``files``.

    ``steps``: how many lines are before each stop; there is none after the last.  ``counts``: whether a line counts.
    A forked child is not stopped, for nobody would let it go on.
    """

    def __init__(self, files: Container[str], steps: Iterable[int], counts: Callable[[], bool] = lambda: True) -> None:
        self.stops = Stops()
        self._files = files
        self._steps = iter(steps)
        self._counts = counts
        self._left = next(self._steps, NEVER)
        self._pid = os.getpid()

    def run(self, work: Callable[[], object]) -> threading.Thread:
        """Start a thread that does ``work`` traced; the stops end with it."""

        def traced() -> None:
            try:
                self.trace_this_thread()
                work()
            finally:
                sys.settrace(None)
                self._left = NEVER
                self.stops.end()

        thread = threading.Thread(target=traced, daemon=True)
        thread.start()
        return thread

    def trace_this_thread(self) -> None:
        """From the next function on that it calls."""
        sys.settrace(self)

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:
        if self._left == NEVER or frame.f_code.co_filename not in self._files:
            return None
        if event == "line" and self._counts():
            self._left -= 1
            if self._left == 0 and self._pid == os.getpid():
                self._left = next(self._steps, NEVER)
                self.stops.stop()
        return self
