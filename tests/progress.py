"""What a long run prints while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

LIVE_S = 0.2
SILENT_S = 20.0
"""Without a terminal a line is printed this often."""
WIDTH = 110


class Progress:
    """A line for each part that has finished; and what is under way, on a terminal in one live line."""

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._finished = 0
        self._live = sys.stdout.isatty()
        self._shown_at = time.monotonic()

    def finished(self, told: str) -> None:
        """One more has, with this to tell."""
        self._finished += 1
        clear = "\r\x1b[K" if self._live else ""
        print(f"{clear}[{self._finished}/{self._parts}] {told}", flush=True)

    def show(self, under_way: Sequence[str]) -> None:
        """To be called often; prints now and then."""
        now = time.monotonic()
        if now - self._shown_at < (LIVE_S if self._live else SILENT_S) or not under_way:
            return
        self._shown_at = now
        text = " | ".join(under_way)
        if self._live:
            print(f"\r\x1b[K[{self._finished}/{self._parts}] {text[:WIDTH]}", end="", flush=True)
        else:
            print(f"    under way: {text}", flush=True)
