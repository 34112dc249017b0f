"""What a collector's own log says of delivery: when an episode of trouble begins, and when it is over."""

from __future__ import annotations

import logging
from collections.abc import Container

from recost.notice import Notice, to_error

logger = logging.getLogger("recost_collector")


class Episodes:
    """By destination. The loop's alone.

    For a process that is nothing but a collector; in an application's own its workers tell the same.
    """

    def __init__(self) -> None:
        self._told: dict[str, set[str]] = {}
        """By id: the kinds of trouble since something was last delivered there."""

    def trouble(self, destination_id: str, url: str, notice: Notice) -> None:
        """Log what workers hear, once per kind and episode."""
        told = self._told.setdefault(destination_id, set())
        if notice.kind not in told:
            told.add(notice.kind)
            logger.warning("%s: destination=%s", to_error(notice), url)

    def delivered(self, destination_id: str, url: str) -> None:
        if self._told.pop(destination_id, None) is not None:
            logger.info("delivers again: destination=%s", url)

    def forget_all_but(self, known: Container[str]) -> None:
        for name in [name for name in self._told if name not in known]:
            del self._told[name]
