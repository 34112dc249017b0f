"""Calls that are counted alike, added up before a window takes them together. Pure."""

from __future__ import annotations

from array import array

BucketKey = tuple[str, str, str]
"""(provider, endpoint, method)"""


class Calls:
    """Calls of one bucket, under one tag, each at the same estimate. One thread at a time.

    Who adds a call does it by hand: it is one of a million.
    """

    __slots__ = (
        "cost_pico_usd", "durations_ns", "errors", "key", "request_bytes", "response_bytes", "started_at_ns", "tag",
    )  # fmt: skip

    def __init__(self, key: BucketKey, tag: str, cost_pico_usd: int, started_at_ns: int) -> None:
        self.key = key
        self.tag = tag
        self.cost_pico_usd = cost_pico_usd  # of each
        self.started_at_ns = started_at_ns  # of the earliest
        self.durations_ns = array("Q")  # of each, so it also counts them
        self.errors = 0
        self.request_bytes = 0
        self.response_bytes = 0

    @property
    def count(self) -> int:
        return len(self.durations_ns)
