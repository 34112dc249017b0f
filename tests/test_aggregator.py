"""The public Aggregator: one window at a time for whoever brings the calls, from any thread."""

from __future__ import annotations

import math
import sys
import threading

import pytest

from recost._version import __version__
from recost.aggregator import OVERFLOW_KEY, Aggregator
from recost.event import RawEvent
from recost.windows import MAX_BUCKETS

START_NS = 1_795_255_200_000_000_000


def raw(ms=400.0, **fields):
    given = {
        "timestamp": START_NS / 1e6,
        "method": "POST",
        "url": "https://api.openai.com/v1/chat/completions",
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "status_code": 200,
        "latency_ms": ms,
        "request_bytes": 300,
        "response_bytes": 1400,
        "provider": "openai",
        "endpoint_category": "chat_completions",
        **fields,
    }
    return RawEvent(**given)


def test_an_aggregator_without_events_has_no_window():
    empty = Aggregator()
    assert empty.flush() is None
    assert (empty.size, empty.bucket_count, empty.max_buckets) == (0, 0, MAX_BUCKETS)


def test_the_defaults_are_the_contracts():
    made = Aggregator()
    assert (made.project_id, made.environment, made.sdk_version) == ("", "development", __version__)
    made.ingest(raw())
    summary = made.flush()
    assert summary is not None
    assert (summary.project_id, summary.sdk_language, summary.protocol_version) == ("", "python", "1.0")


def test_a_flush_gives_the_window_and_starts_a_new_one():
    made = Aggregator("shop", "production", "1.2.3", 5)
    for ms in (384.4, 400.0, 450.1):
        made.ingest(raw(ms), cost_cents=2.0)
    made.ingest(raw(10.0, provider=None, endpoint_category=None, path="/users/123", error=True))
    assert (made.size, made.bucket_count) == (4, 2)

    summary = made.flush()
    assert summary is not None
    assert (summary.project_id, summary.environment, summary.sdk_version) == ("shop", "production", "1.2.3")
    chat, unknown = summary.metrics
    assert (chat.request_count, chat.total_latency_ms, chat.estimated_cost_cents) == (3, 1234.5, 6.0)
    assert (unknown.provider, unknown.endpoint, unknown.error_count) == ("unknown", "/users/123", 1)
    assert (made.size, made.bucket_count, made.flush()) == (0, 0, None)


def test_a_window_of_an_aggregator_spans_its_calls():
    """It reads no clock: from the start of the earliest call to the end of the latest."""
    made = Aggregator()
    for start_ms, latency_ms in ((1000.0, 50.0), (500.0, 4000.0), (2000.0, 10.0)):
        made.ingest(raw(latency_ms, timestamp=start_ms))
    summary = made.flush()
    assert summary is not None
    assert (summary.window_start, summary.window_end) == ("1970-01-01T00:00:00.500Z", "1970-01-01T00:00:04.500Z")
    made.ingest(raw(0.0, timestamp=100.0))
    later = made.flush()
    assert later is not None
    assert later.window_end == "1970-01-01T00:00:00.100Z"


@pytest.mark.parametrize(
    ("status", "error", "errors"), [(200, False, 0), (200, True, 1), (503, False, 1), (0, False, 1), (0, True, 1)]
)
def test_an_event_is_an_error_by_its_status_or_by_saying_so(status, error, errors):
    made = Aggregator()
    made.ingest(raw(status_code=status, error=error))
    summary = made.flush()
    assert summary is not None
    assert summary.metrics[0].error_count == errors


def test_a_caller_who_asks_first_never_overflows():
    made = Aggregator(max_buckets=3)
    flushed = []
    for i in range(10):
        event = raw(endpoint_category=str(i))
        if made.would_overflow(event):
            flushed.append(made.flush())
        made.ingest(event)
        assert not made.would_overflow(event)
    flushed.append(made.flush())
    assert [len(summary.metrics) for summary in flushed if summary] == [3, 3, 3, 1]


def test_without_a_flush_what_does_not_fit_is_counted_together():
    made = Aggregator(max_buckets=3)
    for i in range(5000):
        made.ingest(raw(1.0, endpoint_category=str(i)), cost_cents=0.5)
    made.ingest(raw(endpoint_category="1"))
    assert (made.size, made.bucket_count) == (5001, 4)
    summary = made.flush()
    assert summary is not None
    assert [(each.endpoint, each.request_count) for each in summary.metrics] == [
        ("0", 1),
        ("1", 2),
        ("2", 1),
        (OVERFLOW_KEY[1], 4997),
    ]
    assert sum(each.estimated_cost_cents for each in summary.metrics) == 2500.0


@pytest.mark.parametrize("odd", [-1.0, math.nan, math.inf, -math.inf, 1e300])
def test_odd_times_and_sizes_are_counted_as_zero(odd):
    made = Aggregator()
    made.ingest(raw(odd, timestamp=odd, request_bytes=-1, response_bytes=-5), cost_cents=odd)
    summary = made.flush()
    assert summary is not None
    entry = summary.metrics[0]
    assert (entry.request_count, entry.total_latency_ms, entry.total_request_bytes) == (1, 0.0, 0)
    assert (entry.total_response_bytes, entry.estimated_cost_cents) == (0, 0.0)
    assert summary.window_start == "1970-01-01T00:00:00.000Z"


@pytest.fixture
def restless():
    """Threads take turns a hundred times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 100)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless")
def test_threads_share_an_aggregator_and_lose_nothing():
    """Some add, one flushes as fast as it can: every call and every cent is in exactly one window."""
    made, windows_seen, done = Aggregator(max_buckets=10), [], threading.Event()

    def add(number):
        for i in range(4000):
            made.ingest(raw(float(i % 50), endpoint_category=f"{number}-{i % 3}"), cost_cents=0.1)

    def flush():
        while not done.is_set():
            windows_seen.append(made.flush())

    adders = [threading.Thread(target=add, args=(number,)) for number in range(3)]
    flusher = threading.Thread(target=flush)
    for thread in (flusher, *adders):
        thread.start()
    for thread in adders:
        thread.join()
    done.set()
    flusher.join()
    windows_seen.append(made.flush())

    metrics = [entry for summary in windows_seen if summary for entry in summary.metrics]
    assert sum(entry.request_count for entry in metrics) == 12_000
    assert round(sum(round(entry.estimated_cost_cents * 10) for entry in metrics)) == 12_000
    assert {entry.endpoint for entry in metrics} <= {f"{n}-{k}" for n in range(3) for k in range(3)} | {"other"}
