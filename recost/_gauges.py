"""What a worker says about itself once a second: faults to the collector, drops and flushes to the user."""

from __future__ import annotations

import sys

from recost._capture import fault_count
from recost._troubles import Troubles
from recost.errors import RecostError
from recost.ring.layout import DROPPED_BIG, DROPPED_FULL, FAULTS, FLUSH_AT_MS, FLUSH_OK, FLUSH_SIZE, FLUSH_STATUS
from recost.ring.writer import Words


class Gauges:
    """The watcher thread's alone."""

    def __init__(self, troubles: Troubles, *, tell_flushes: bool) -> None:
        self._troubles = troubles
        self._tell_flushes = tell_flushes
        self._dropped = 0
        self._faults_before = 0
        self._flushed_at_ms = 0

    def begin(self, words: Words) -> None:
        """A new ring, or an earlier one in a new file: it counts from here on, for the totals add rings up."""
        self._dropped = words[DROPPED_FULL] + words[DROPPED_BIG]
        self._faults_before = fault_count() - words[FAULTS]

    def look(self, words: Words) -> None:
        words[FAULTS] = fault_count() - self._faults_before
        self._tell_drops(words)
        if self._tell_flushes:
            self._tell_flush(words)

    def _tell_drops(self, words: Words) -> None:
        """Once per episode: it ends with a second in which nothing was dropped."""
        dropped = words[DROPPED_FULL] + words[DROPPED_BIG]
        new = dropped - self._dropped
        self._dropped = dropped
        if new > 0:
            were = "call was" if new == 1 else "calls were"
            text = (
                f"the ring is full, {new} {were} not recorded and more may follow; raise ring_bytes (RECOST_RING_BYTES)"
            )
            self._troubles.during("drops", RecostError(text))
        else:
            self._troubles.over("drops")

    def _tell_flush(self, words: Words) -> None:
        at_ms = words[FLUSH_AT_MS]
        if at_ms != self._flushed_at_ms:
            self._flushed_at_ms = at_ms
            outcome = "ok" if words[FLUSH_STATUS] == FLUSH_OK else "error"
            sys.stderr.write(f"[recost] flush {outcome}: {words[FLUSH_SIZE]} metric entries\n")
