"""What the demo says while it runs: one line that changes in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

SPARSE_S = 3.0
BAR = 20
_CLEAR = "\r\x1b[K"


class Progress:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._due_at = 0.0

    def show(self, text: str) -> None:
        """How things stand; may be called as often as one likes."""
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write(_CLEAR + text[:width])
        elif time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + SPARSE_S
            self._write(f"{text}\n")

    def say(self, text: str) -> None:
        """Something that happened: a line that stays."""
        self._write(f"{_CLEAR if self._is_terminal else ''}{text}\n")

    def clear(self) -> None:
        """What follows is written by somebody else."""
        self._write(_CLEAR if self._is_terminal else "")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def bar(share: float) -> str:
    done = round(BAR * min(1.0, share))
    return f"[{'#' * done}{'.' * (BAR - done)}]"
