"""Room in the spool: its bound, what is dropped to keep it, and what the workers hear when it takes nothing."""

from __future__ import annotations

import logging

from recost.notice import Notice
from recost_collector.changes import Changes
from recost_collector.delivery import Delivery
from recost_collector.spool import Spool
from recost_collector.telling import Telling

TELL_AGAIN_S = 60.0
"""A disk that is full lets a small commit through now and then: workers hear of it again only after so long."""
DROP_SHARE = 8
"""One part in so many of what waits is dropped at a time when the spool's file is at its bound."""

logger = logging.getLogger("recost_collector")


class SpoolRoom:
    """Of one spool. The loop's alone."""

    def __init__(self, spool: Spool, delivery: Delivery, telling: Telling) -> None:
        self._spool = spool
        self._delivery = delivery
        self._telling = telling
        self._max_bytes = 0
        self._told_at = -TELL_AGAIN_S
        self.trouble = ""
        """Why the spool takes nothing now; empty: it does."""

    def raise_limit(self, max_bytes: int) -> None:
        """The spool is shared, so the largest wish counts."""
        if max_bytes > self._max_bytes:
            self._max_bytes = max_bytes
            self._spool.limit(max_bytes)

    def make(self, changes: Changes) -> None:
        """Drop the oldest frames that wait until the new ones are within the bound."""
        over = self._delivery.spooled_bytes - self._max_bytes
        if self._max_bytes and over > 0:
            dropped = self._delivery.drop_oldest(over, changes)
            logger.warning("the spool is full, the oldest frames are dropped: frames=%d", dropped)

    def took(self) -> None:
        """A commit has worked."""
        self.trouble = ""

    def refused(self, reason: str, now: float, changes: Changes) -> bool:
        """A commit has failed. True: frames are dropped for it, and the next try should come soon."""
        if not self.trouble and now - self._told_at >= TELL_AGAIN_S:
            self._told_at = now
            logger.warning("the spool takes nothing, events wait in the rings: %s", reason)
            text = f"the collector cannot write its spool, events wait in shared memory: {reason}"
            self._telling.tell_all(Notice("degraded", text))
        self.trouble = reason
        if not self._spool.is_at_limit():
            return False
        # Full although the frames are within their bound: other rows have taken the room.
        dropped = self._delivery.drop_oldest(self._delivery.spooled_bytes // DROP_SHARE + 1, changes)
        logger.warning("the spool is at its bound, the oldest frames are dropped: frames=%d", dropped)
        return bool(dropped)
