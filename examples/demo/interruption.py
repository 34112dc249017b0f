"""Ctrl-C, SIGTERM and SIGHUP end the demo, but not in the middle of starting or ending something."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Optional

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Makes the first of the signals a ``KeyboardInterrupt`` inside ``allowed``; there, if it came before."""

    def __init__(self) -> None:
        self._heard = False
        self._allowed = False
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup SIGHUP is
                signal.signal(number, self._hear)

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        self._allowed = True
        try:
            if self._heard:
                raise KeyboardInterrupt
            yield
        finally:
            self._allowed = False

    def _hear(self, _number: int, _frame: Optional[FrameType]) -> None:
        self._heard = True
        if self._allowed:
            self._allowed = False  # one more, while we clean up, changes nothing
            raise KeyboardInterrupt
