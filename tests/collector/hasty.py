"""A collector that breaks the protocol, for controls: it gives rings free before it has committed what it read."""

from __future__ import annotations

from typing import Any

from recost_collector.service import Service
from tests.faults.replacing import replace


def release_before_commit() -> None:
    """From now on and in this process, for good."""
    gather = Service._gather

    def release_and_gather(self: Service, moved: list[Any], now_ms: int) -> None:
        for source in moved:
            source.reader.release(source.reader.cursor.position)
        gather(self, moved, now_ms)

    replace(Service, "_gather", release_and_gather)
