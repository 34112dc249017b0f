"""Windows by tag: a view of the same calls, bounded in tags, rows and latencies, and the same after a crash."""

from __future__ import annotations

import json
import random
from collections import Counter

import msgspec
import pytest

from recost import event as events
from recost import windows
from recost.bucket import pico_usd
from recost.event import MAX_TAG, CallEvent
from recost.tagged import MAX_TAGS, OTHER_TAG
from recost.windows import MAX_BUCKETS, Window
from recost.wire import to_frames

KEY = ("openai", "chat_completions", "POST")


def call(tag="", ms=400.0, status=200, at_ns=10**18):
    return CallEvent(at_ns, int(ms * 1e6), "POST", "https", "api.openai.com", "/v1/x", status, 300, 1400, tag)


def window_of(calls, cost=0, max_tagged_rows=MAX_BUCKETS):
    made = Window(max_tagged_rows)
    for key, event in calls:
        made.add(key, event, cost)
    return made


def random_calls(count, seed, tags=9, endpoints=5):
    rng = random.Random(seed)
    for _ in range(count):
        tag = rng.choice(("", *map(str, range(tags))))
        key = ("p", f"/{rng.randrange(endpoints)}", "GET")
        yield key, call(tag, rng.lognormvariate(3, 1), rng.choice((200, 500)))


def summary_of(window):
    return window.summary("p", "e", "1", start_ns=0, end_ns=0)


def tagged_of(window):
    return summary_of(window).tag_metrics


def calls_by_tag(window):
    found: Counter[str] = Counter()
    for entry in tagged_of(window):
        found[entry.feature_tag] += entry.request_count
    return found


def test_tagged_calls_are_counted_in_their_bucket_and_in_that_of_their_tag():
    made = window_of(
        [(KEY, call("a", 100.0)), (KEY, call("b", 200.0, 500)), (KEY, call("a", 300.0)), (KEY, call(ms=400.0))],
        pico_usd(2.0),
    )
    (metric,) = summary_of(made).metrics
    assert (metric.request_count, metric.error_count, metric.estimated_cost_cents) == (4, 1, 8.0)
    assert [entry.to_dict() for entry in tagged_of(made)] == [
        {
            "provider": "openai",
            "endpoint": "chat_completions",
            "method": "POST",
            "requestCount": calls,
            "errorCount": errors,
            "totalLatencyMs": total,
            "p50LatencyMs": p50,
            "p95LatencyMs": p95,
            "totalRequestBytes": 300 * calls,
            "totalResponseBytes": 1400 * calls,
            "estimatedCostCents": 2.0 * calls,
            "featureTag": tag,
        }
        for tag, calls, errors, total, p50, p95 in (
            ("a", 2, 0, 400.0, 100.0, 300.0),
            ("b", 1, 1, 200.0, 200.0, 200.0),
        )
    ]
    assert (made.count, made.bucket_count) == (4, 1)


def test_a_window_without_tagged_calls_has_no_view():
    assert tagged_of(window_of([(KEY, call())])) == []


@pytest.mark.parametrize("parts", [1, 7])
def test_of_too_many_tags_the_first_200_have_rows_and_the_rest_shares_one(parts):
    """Exact counts, whether they come in one delta or in several."""
    calls = [(KEY, call(f"tag {number}")) for number in range(300) for _ in range(3)]
    merged = Window()
    for at in range(parts):
        merged.merge(window_of(calls[at::parts]))
    found = calls_by_tag(merged)
    assert len(found) == MAX_TAGS + 1
    assert found.pop(OTHER_TAG) == 300
    assert set(found.values()) == {3}
    if parts == 1:
        assert list(found) == [f"tag {number}" for number in range(200)]
    assert summary_of(merged).metrics[0].request_count == 900


def test_of_too_many_rows_the_first_have_their_tag_and_the_rest_shares_one_per_bucket():
    """At most twice ``max_buckets`` in all."""
    keys = [("p", str(number), "GET") for number in range(50)]
    made = window_of([(key, call(tag)) for tag in "abcd" for key in keys], max_tagged_rows=60)
    rows = [(entry.feature_tag, entry.endpoint) for entry in tagged_of(made)]
    assert rows == [
        *[("a", key[1]) for key in keys],
        *[("b", key[1]) for key in keys[:10]],
        *[(OTHER_TAG, key[1]) for key in [*keys[10:], *keys[:10]]],
    ]
    assert calls_by_tag(made) == {"a": 50, "b": 10, OTHER_TAG: 140}


def test_a_tag_that_is_named_other_counts_with_what_did_not_fit():
    made = window_of([(KEY, call("a")), (KEY, call(OTHER_TAG)), (KEY, call("b"))], max_tagged_rows=1)
    assert calls_by_tag(made) == {"a": 1, OTHER_TAG: 2}


def test_the_tag_of_a_hostile_worker_is_cut():
    (entry,) = tagged_of(window_of([(KEY, call("x" * 5000))]))
    assert entry.feature_tag == "x" * MAX_TAG


def test_the_view_never_adds_up_to_more_than_the_metrics():
    made = window_of(random_calls(5000, seed=1), 7)
    metrics = {(each.provider, each.endpoint, each.method): each for each in summary_of(made).metrics}
    for name in ("request_count", "error_count", "total_request_bytes", "estimated_cost_cents"):
        sums: Counter[tuple[str, str, str]] = Counter()
        for entry in tagged_of(made):
            sums[entry.provider, entry.endpoint, entry.method] += getattr(entry, name)
        assert all(0 < sums[key] < getattr(metric, name) + 1e-12 for key, metric in metrics.items())


def test_deltas_read_back_and_merged_are_the_same_window():
    """What the spool does, bounds included: in the order of the commits a crash changes nothing."""
    calls = [(key, call(f"{event.tag}{number % 40}")) for number, (key, event) in enumerate(random_calls(4000, seed=2))]
    deltas = [window_of(calls[at : at + 500], 3, max_tagged_rows=300) for at in range(0, 4000, 500)]
    lived, restored = Window(300), Window(300)
    for number, delta in enumerate(deltas):
        lived.merge(delta)
        restored.merge(Window.from_data(delta.to_data()))
        if number == 4:  # compacted
            compacted, restored = restored, Window(300)
            restored.merge(Window.from_data(compacted.to_data()))
    assert len(tagged_of(lived)) > 300
    assert calls_by_tag(lived)[OTHER_TAG] > 0
    assert summary_of(restored) == summary_of(lived)
    assert restored.to_data() == lived.to_data()


class OldData(msgspec.Struct, array_like=True):
    """The data of a window as it was before there were tags."""

    rows: list[msgspec.Raw]
    started_at_ns: int


def test_data_from_before_there_were_tags_reads_as_a_window_without():
    made = window_of([(KEY, call("a")), (KEY, call())])
    old = msgspec.msgpack.encode(msgspec.msgpack.decode(made.to_data(), type=OldData))
    assert len(old) < len(made.to_data())
    again = Window.from_data(old)
    assert (again.count, tagged_of(again)) == (2, [])
    assert summary_of(again).metrics == summary_of(made).metrics


class OldEvent(msgspec.Struct, array_like=True, tag=0, tag_field="t"):
    """An event as it was before there were tags."""

    at_ns: int
    duration_ns: int
    method: str
    scheme: str
    netloc: str
    path: str
    status: int
    request_bytes: int
    response_bytes: int


def test_events_of_workers_and_readers_from_before_there_were_tags_are_understood():
    new = call("checkout")
    old = msgspec.msgpack.decode(events.encode(new), type=OldEvent)
    assert msgspec.structs.astuple(old) == msgspec.structs.astuple(new)[:9]
    assert events.decode(msgspec.msgpack.encode(old)) == call()


def test_latencies_that_are_kept_twice_stay_within_the_windows_budget(monkeypatch):
    monkeypatch.setattr(windows, "EXACT_PER_WINDOW", 1000)
    rng, made = random.Random(3), Window()
    for number in range(10_000):
        made.add(("p", str(number % 20), "GET"), call(str(number % 7) if number % 3 else "", rng.lognormvariate(3, 1)))
        assert exact_latencies(made) <= 1000
    merged = Window()
    merged.merge(made)
    merged.merge(Window.from_data(made.to_data()))
    assert exact_latencies(merged) <= 1000
    assert sum(calls_by_tag(merged).values()) == 2 * sum(1 for number in range(10_000) if number % 3)


def exact_latencies(window):
    return sum(len(latencies.samples) for latencies in window._tagged.latencies()) + sum(
        len(bucket.latencies.samples) for bucket in window._buckets.values()
    )


def test_the_frame_of_a_window_with_tagged_calls_says_so():
    tagged = json.loads(to_frames(summary_of(window_of([(KEY, call("a"))])), 2000)[0])
    plain = json.loads(to_frames(summary_of(window_of([(KEY, call())])), 2000)[0])
    assert (tagged.pop("protocolVersion"), plain.pop("protocolVersion")) == ("1.1", "1.0")
    assert [entry.pop("featureTag") for entry in tagged["tagMetrics"]] == ["a"]
    assert tagged.pop("tagMetrics") == tagged["metrics"]
    assert tagged == plain
