"""The public ``Aggregator``: what the collector does with windows, for programs that do it themselves. Pure."""

from __future__ import annotations

import threading
from typing import Optional

from recost._version import __version__
from recost.bucket import UNKNOWN_PROVIDER, pico_usd
from recost.calls import BucketKey
from recost.event import NS_PER_MS, CallEvent, RawEvent
from recost.windows import MAX_BUCKETS, NEVER_NS, Window
from recost.wire import WindowSummary

OVERFLOW_KEY = ("other", "other", "OTHER")
"""Where is counted what no longer fits."""


class Aggregator:
    """Events in, windows out: what the collector does, for programs that do it themselves. Thread-safe.

    Paths stay as they are.  It has no clock: a window goes from the start of its earliest call to the end of its
    latest.  When to ``flush`` is the caller's decision, by time, by ``size`` or by ``would_overflow``; without a
    flush, events of new buckets beyond ``max_buckets`` are counted together under ``OVERFLOW_KEY``, so that
    memory stays bounded and the totals right.
    """

    def __init__(
        self,
        project_id: str = "",
        environment: str = "development",
        sdk_version: str = __version__,
        max_buckets: int = MAX_BUCKETS,
    ) -> None:
        self.project_id = project_id
        self.environment = environment
        self.sdk_version = sdk_version
        self.max_buckets = max_buckets
        self._lock = threading.Lock()
        self._window = Window()
        self._end_ns = 0

    def ingest(self, event: RawEvent, cost_cents: float = 0.0) -> None:
        """Count ``event``, and ``cost_cents`` for it (US cents)."""
        key, call, cost = _key_of(event), _to_call(event), pico_usd(cost_cents)
        with self._lock:
            if self._window.would_overflow(key, self.max_buckets):
                key = OVERFLOW_KEY
            self._window.add(key, call, cost)
            self._end_ns = max(self._end_ns, call.at_ns + call.duration_ns)

    def flush(self) -> Optional[WindowSummary]:
        """Close the window and start a new one. None when it is empty."""
        with self._lock:
            window, end_ns = self._window, self._end_ns
            self._window, self._end_ns = Window(), 0
        if not window.count:
            return None
        start_ns = window.started_at_ns
        return window.summary(self.project_id, self.environment, self.sdk_version, start_ns=start_ns, end_ns=end_ns)

    def would_overflow(self, event: RawEvent) -> bool:
        """Whether ``event`` needs a bucket that the window has no room for: flush first."""
        with self._lock:
            return self._window.would_overflow(_key_of(event), self.max_buckets)

    @property
    def size(self) -> int:
        """Events since the last flush."""
        with self._lock:
            return self._window.count

    @property
    def bucket_count(self) -> int:
        """Distinct (provider, endpoint, method) since the last ``flush``."""
        with self._lock:
            return self._window.bucket_count


def _key_of(event: RawEvent) -> BucketKey:
    return event.provider or UNKNOWN_PROVIDER, event.endpoint_category or event.path, event.method


def _to_call(event: RawEvent) -> CallEvent:
    """``event`` in whole units; an ``error`` with a good status (it failed later) has no status of its own."""
    return CallEvent(
        at_ns=_to_ns(event.timestamp),
        duration_ns=_to_ns(event.latency_ms),
        method=event.method,
        scheme="",
        netloc=event.host,
        path=event.path,
        status=0 if event.error else event.status_code,
        request_bytes=max(event.request_bytes, 0),
        response_bytes=max(event.response_bytes, 0),
    )


def _to_ns(milliseconds: float) -> int:
    """0 for what is no time (negative, infinite, not a number)."""
    return round(milliseconds * NS_PER_MS) if 0 <= milliseconds < NEVER_NS // NS_PER_MS else 0
