"""Windows: exact sums in any grouping, bounded, readable after a crash."""

from __future__ import annotations

import itertools
import json
import math
import random

import pytest

from recost import windows
from recost.bucket import pico_usd
from recost.event import CallEvent
from recost.latency import EXACT_LIMIT
from recost.windows import EXACT_PER_WINDOW, Window
from recost.wire import to_frames

KEY = ("openai", "chat_completions", "POST")
START_NS = 1_795_255_200_000_000_000


def call(at_ns=START_NS, ms=400.0, status=200, sizes=(300, 1400)):
    return CallEvent(at_ns, int(ms * 1e6), "POST", "https", "api.openai.com", "/v1/chat/completions", status, *sizes)


def window_of(events, cost=0):
    made = Window()
    for key, event in events:
        made.add(key, event, cost)
    return made


def random_events(count, seed, endpoints=7):
    rng = random.Random(seed)
    for _ in range(count):
        key = ("p", f"/{rng.randrange(endpoints)}", rng.choice(("GET", "POST")))
        sizes = (rng.randrange(5000), rng.randrange(90_000))
        yield key, call(START_NS + rng.randrange(10**10), rng.lognormvariate(3, 1), rng.choice((200, 404, 0)), sizes)


def entries(window):
    return window.summary("p", "e", "1", start_ns=0, end_ns=0).metrics


def by_key(window):
    return {(each.provider, each.endpoint, each.method): each for each in entries(window)}


def test_three_calls_are_the_contracts_example():
    made = window_of([(KEY, call(ms=ms)) for ms in (384.4, 400.0, 450.1)], pico_usd(2.0))
    summary = made.summary("shop", "production", "1.2.3", start_ns=START_NS, end_ns=START_NS + 30 * 10**9)
    assert json.loads(to_frames(summary, 2000)[0]) == {
        "protocolVersion": "1.0",
        "environment": "production",
        "sdkLanguage": "python",
        "sdkVersion": "1.2.3",
        "windowStart": "2026-11-21T10:00:00.000Z",
        "windowEnd": "2026-11-21T10:00:30.000Z",
        "metrics": [
            {
                "provider": "openai",
                "endpoint": "chat_completions",
                "method": "POST",
                "requestCount": 3,
                "errorCount": 0,
                "totalLatencyMs": 1234.5,
                "p50LatencyMs": 400.0,
                "p95LatencyMs": 450.1,
                "totalRequestBytes": 900,
                "totalResponseBytes": 4200,
                "estimatedCostCents": 6.0,
            }
        ],
    }


def test_buckets_come_in_order_of_first_appearance():
    keys = [("b", "/2", "GET"), ("a", "/1", "GET"), ("a", "/1", "POST"), ("b", "/2", "GET"), ("a", "/0", "GET")]
    made = window_of([(key, call()) for key in keys])
    assert list(made.keys()) == [keys[0], keys[1], keys[2], keys[4]]
    assert [each.request_count for each in entries(made)] == [2, 1, 1, 1]
    assert (made.count, made.bucket_count) == (5, 4)
    assert keys[1] in made
    assert ("a", "/1", "PUT") not in made


@pytest.mark.parametrize(("status", "errors"), [(200, 0), (302, 0), (399, 0), (400, 1), (404, 1), (500, 1), (0, 1)])
def test_failed_calls_are_errors(status, errors):
    assert entries(window_of([(KEY, call(status=status))]))[0].error_count == errors


def test_the_start_is_that_of_the_earliest_call_in_whatever_order_they_come():
    made = window_of([(KEY, call(START_NS + late)) for late in (5, 3, 9)])
    assert made.started_at_ns == START_NS + 3
    made.merge(window_of([(KEY, call(START_NS + 1))]))
    made.merge(Window())
    assert made.started_at_ns == START_NS + 1


def test_costs_add_up_without_the_noise_of_fractions():
    """Control: floats do show it."""
    made = window_of([(KEY, call())] * 3, pico_usd(0.1))
    assert sum([0.1] * 3) != 0.3
    assert entries(made)[0].estimated_cost_cents == 0.3
    many = window_of([(KEY, call())] * 100_000, pico_usd(0.79))
    assert entries(many)[0].estimated_cost_cents == 79_000.0


@pytest.mark.parametrize("odd", [-1.0, math.inf, -math.inf, math.nan, 1e300])
def test_what_is_no_amount_of_money_counts_as_none(odd):
    assert pico_usd(odd) == 0


def test_merging_in_any_grouping_gives_the_same_window():
    events = list(random_events(6000, seed=1))
    whole = window_of(events, 17)
    parts = [window_of(events[i : i + 1000], 17) for i in range(0, 6000, 1000)]
    for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 111):
        merged = Window()
        for i in order:
            merged.merge(parts[i])
        assert by_key(merged) == by_key(whole)
        assert (merged.count, merged.started_at_ns) == (whole.count, whole.started_at_ns)
    pairs = [window_of([]) for _ in range(3)]
    for i, pair in enumerate(pairs):
        pair.merge(parts[2 * i])
        pair.merge(parts[2 * i + 1])
    nested = Window()
    for pair in pairs:
        nested.merge(pair)
    assert entries(nested) == entries(whole)


def test_a_merged_delta_can_be_forgotten_or_used_again():
    committed, delta = Window(), window_of([(KEY, call())])
    committed.merge(delta)
    committed.add(KEY, call())
    assert (delta.count, entries(delta)[0].request_count) == (1, 1)
    assert entries(committed)[0].request_count == 2


@pytest.mark.parametrize("count", [0, 1, 300, 3 * EXACT_LIMIT])
def test_data_reads_back_as_the_same_window(count):
    made = window_of(random_events(count, seed=2, endpoints=1), 123_456_789)
    data = made.to_data()
    again = Window.from_data(data)
    assert isinstance(data, bytes)
    assert (again.count, again.started_at_ns, again.to_data()) == (made.count, made.started_at_ns, data)
    assert entries(again) == entries(made)
    again.add(KEY, call())
    assert again.count == count + 1


def test_committed_deltas_add_up_to_the_whole():
    """What the spool does: each delta as data, all of them read back and merged after a crash."""
    events = list(random_events(5000, seed=3))
    spool = [window_of(events[i : i + 700], 5).to_data() for i in range(0, 5000, 700)]
    restored = Window()
    for data in spool:
        restored.merge(Window.from_data(data))
    assert entries(restored) == entries(window_of(events, 5))


@pytest.mark.parametrize(
    "junk", [b"", b"\x00", b"\xc1", b"not msgpack at all", b"\x92\x90\xa1x", b"\x92\x91\x90\x00", b"\xff" * 100]
)
def test_what_is_no_window_is_a_value_error(junk):
    with pytest.raises(ValueError, match="not the data of a window"):
        Window.from_data(junk)


def test_half_of_a_windows_data_is_a_value_error_wherever_it_was_cut():
    data = window_of(random_events(20, seed=4), 5).to_data()
    for size in range(len(data)):
        with pytest.raises(ValueError, match="not the data"):
            Window.from_data(data[:size])


def test_numbers_of_a_hostile_worker_neither_raise_nor_make_a_window_unkeepable():
    low, high = -(1 << 63), (1 << 64) - 1
    made = Window()
    for at_ns, duration, status, size in itertools.product((low, 0, high), (low, high), (low, 0, high), (low, high)):
        made.add(KEY, CallEvent(at_ns, duration, "GET", "https", "x", "/", status, size, size), high)
    again = Window.from_data(made.to_data())
    assert again.count == made.count
    summary = again.summary("p", "e", "1", start_ns=again.started_at_ns, end_ns=high)
    assert json.loads(to_frames(summary, 10)[0])["windowEnd"] <= "9999"


def test_overflow_is_a_new_key_too_many():
    keys = [("p", str(i), "GET") for i in range(4)]
    made = window_of([(key, call()) for key in keys[:3]])
    assert made.would_overflow(keys[3], 3)
    assert not made.would_overflow(keys[3], 4)
    assert not made.would_overflow(keys[0], 3)


def test_overflow_looks_at_committed_and_delta_together():
    keys = [("p", str(i), "GET") for i in range(6)]
    committed = window_of([(key, call()) for key in keys[:3]])
    delta = window_of([(key, call()) for key in keys[2:5]])
    new = keys[5]
    assert not delta.would_overflow(new, 7, committed)
    assert not delta.would_overflow(new, 6, committed)  # the one that both have counts once
    assert delta.would_overflow(new, 5, committed)
    assert not any(delta.would_overflow(key, 1, committed) for key in keys[:5])
    committed.merge(delta)
    assert committed.would_overflow(new, 5)
    assert not committed.would_overflow(new, 6)


def test_latencies_of_a_window_stay_within_its_budget(monkeypatch):
    """Big buckets go over to histograms, small ones stay exact; no count, sum or byte is lost."""
    monkeypatch.setattr(windows, "EXACT_PER_WINDOW", 1000)
    small, made, rng = ("p", "small", "GET"), Window(), random.Random(5)
    for ms in (10.0, 20.0, 30.0):
        made.add(small, call(ms=ms))
    for i in range(30_000):
        made.add(("p", str(i % 20), "GET"), call(ms=rng.lognormvariate(3, 1)))
        assert exact_latencies(made) <= 1000
    assert by_key(made)[small].p95_latency_ms == 30.0
    assert sum(each.request_count for each in entries(made)) == made.count == 30_003


def test_the_budget_holds_when_windows_are_merged_and_read_back(monkeypatch):
    monkeypatch.setattr(windows, "EXACT_PER_WINDOW", 1000)
    parts = [window_of(random_events(900, seed), 3) for seed in range(5)]
    merged = Window()
    for part in parts:
        merged.merge(Window.from_data(part.to_data()))
        assert exact_latencies(merged) <= 1000
    assert merged.count == sum(each.request_count for each in entries(merged)) == 4500
    monkeypatch.setattr(windows, "EXACT_PER_WINDOW", 100)
    assert exact_latencies(Window.from_data(parts[0].to_data())) <= 100


def exact_latencies(window):
    return sum(len(bucket.latencies.samples) for bucket in window._buckets.values())


def test_data_of_a_full_window_is_bounded():
    rng = random.Random(6)
    made = Window()
    for i in range(EXACT_PER_WINDOW + 50_000):
        made.add(("p", str(i % 50), "GET"), call(ms=rng.lognormvariate(3, 2)))
    assert exact_latencies(made) <= EXACT_PER_WINDOW
    assert len(made.to_data()) < 8 * EXACT_PER_WINDOW + 50 * 2049 * 8
