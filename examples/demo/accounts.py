"""What the stand-ins counted against what is in the file, by provider and endpoint. Pure, but for reading the file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

Endpoint = tuple[str, str]
"""Provider and endpoint, as in the file."""


class Delivered(NamedTuple):
    """What a telemetry file holds."""

    calls: Counter[Endpoint]
    repeated_lines: int
    """A window that was delivered twice is a line that is there twice."""


class Row(NamedTuple):
    """One endpoint."""

    provider: str
    endpoint: str
    counted: int
    """Requests that arrived at the stand-in."""
    delivered: int
    in_flight: int
    """Of these calls, how many the killed worker had begun and not finished: so many may be missing."""

    @property
    def missing(self) -> int:
        return max(0, self.counted - self.delivered)

    @property
    def unexplained(self) -> int:
        return max(0, self.missing - self.in_flight)

    @property
    def surplus(self) -> int:
        """Calls in the file that nobody received: counted twice, or as somebody else's."""
        return max(0, self.delivered - self.counted)


class Accounts(NamedTuple):
    rows: list[Row]
    repeated_lines: int

    @property
    def counted(self) -> int:
        return sum(row.counted for row in self.rows)

    @property
    def delivered(self) -> int:
        return sum(row.delivered for row in self.rows)

    @property
    def missing(self) -> int:
        return sum(row.missing for row in self.rows)

    @property
    def in_flight(self) -> int:
        return sum(row.in_flight for row in self.rows)

    def problems(self) -> list[str]:
        """What does not add up, a sentence each; empty when every call is accounted for."""
        found = ["the stand-ins counted no call at all"] if not self.counted else []
        for row in self.rows:
            what = f"{row.provider} {row.endpoint}"
            if row.unexplained:
                found.append(
                    f"{what}: {row.missing} of {row.counted} calls are missing,"
                    f" and the killed worker had only {row.in_flight} of them in flight"
                )
            if row.surplus:
                found.append(f"{what}: {row.delivered} calls are in the file, {row.surplus} more than were made")
        if self.repeated_lines:
            found.append(f"{self.repeated_lines} windows are in the file twice")
        return found


def compare(counted: Mapping[Endpoint, int], delivered: Delivered, in_flight: Mapping[Endpoint, int]) -> Accounts:
    endpoints = sorted({*counted, *delivered.calls, *in_flight})
    rows = [Row(*key, counted.get(key, 0), delivered.calls[key], in_flight.get(key, 0)) for key in endpoints]
    return Accounts(rows, delivered.repeated_lines)


def by_provider(rows: list[Row]) -> dict[str, tuple[int, int]]:
    """Counted and delivered calls of each provider."""
    sums: dict[str, tuple[int, int]] = {}
    for row in rows:
        counted, delivered = sums.get(row.provider, (0, 0))
        sums[row.provider] = counted + row.counted, delivered + row.delivered
    return sums


def read_delivered(path: Path) -> Delivered:
    """Raises ``OSError``, ``ValueError`` or ``KeyError`` for a file that cannot be read or holds something else."""
    lines = path.read_text(encoding="utf-8").splitlines()
    calls: Counter[Endpoint] = Counter()
    for line in lines:
        for entry in json.loads(line)["metrics"]:
            calls[entry["provider"], entry["endpoint"]] += entry["requestCount"]
    return Delivered(calls, len(lines) - len(set(lines)))
