"""What leaves: the contract's example to the letter, and windows that are cut into frames."""

from __future__ import annotations

import json

import pytest

from recost.wire import FRAME_BYTES, FlushStatus, MetricEntry, TagEntry, WindowSummary, iso_time, to_frames

EXAMPLE = (
    '{"protocolVersion":"1.0","environment":"production","sdkLanguage":"python","sdkVersion":"0.1.0",'
    '"windowStart":"2026-11-21T10:00:00.000Z","windowEnd":"2026-11-21T10:00:30.000Z",'
    '"metrics":[{"provider":"openai","endpoint":"chat_completions","method":"POST","requestCount":3,"errorCount":0,'
    '"totalLatencyMs":1234.5,"p50LatencyMs":400.0,"p95LatencyMs":450.1,"totalRequestBytes":900,'
    '"totalResponseBytes":4200,"estimatedCostCents":6.0}]}'
)


def entry(endpoint="chat_completions"):
    return MetricEntry("openai", endpoint, "POST", 3, 0, 1234.5, 400.0, 450.1, 900, 4200, 6.0)


def tag_entry(endpoint="chat_completions", tag="checkout"):
    return TagEntry("openai", endpoint, "POST", 2, 0, 834.5, 400.0, 434.5, 600, 2800, 4.0, tag)


def summary(entries, tagged=()):
    start, end = "2026-11-21T10:00:00.000Z", "2026-11-21T10:00:30.000Z"
    return WindowSummary("shop", "production", "python", "0.1.0", start, end, entries, tag_metrics=list(tagged))


def test_the_contracts_example_comes_out_to_the_letter():
    assert to_frames(summary([entry()]), 2000) == [EXAMPLE.encode()]
    assert json.dumps(summary([entry()]).to_dict(), separators=(",", ":")) == EXAMPLE


def test_the_project_stays_off_the_wire():
    assert summary([]).project_id == "shop"
    assert "shop" not in json.dumps(summary([entry()]).to_dict())


def test_records_have_the_fields_of_the_contract_in_its_order():
    assert summary([]).protocol_version == "1.0"
    assert summary([]).metrics == []
    assert entry().to_dict() == json.loads(EXAMPLE)["metrics"][0]
    assert list(entry().to_dict()) == list(json.loads(EXAMPLE)["metrics"][0])
    status = FlushStatus("ok", 3, 1_795_255_200_000)
    assert (status.status, status.window_size, status.timestamp) == ("ok", 3, 1_795_255_200_000)


def test_two_summaries_do_not_share_their_metrics():
    one = WindowSummary("p", "e", "python", "1", "a", "b")
    one.metrics.append(entry())
    assert WindowSummary("p", "e", "python", "1", "a", "b").metrics == []


@pytest.mark.parametrize(("count", "most", "sizes"), [(0, 5, [0]), (5, 5, [5]), (6, 5, [5, 1]), (11, 5, [5, 5, 1])])
def test_more_entries_than_one_frame_may_have_are_several_frames(count, most, sizes):
    frames = [json.loads(frame) for frame in to_frames(summary([entry(str(i)) for i in range(count)]), most)]
    assert [len(frame["metrics"]) for frame in frames] == sizes
    assert [each["endpoint"] for frame in frames for each in frame["metrics"]] == [str(i) for i in range(count)]
    heads = [{**frame, "metrics": None} for frame in frames]
    assert heads == [heads[0]] * len(frames)
    assert heads[0]["windowStart"] == "2026-11-21T10:00:00.000Z"


def test_no_frame_exceeds_the_bytes_it_may_have():
    entries = [entry("/long" * 200 + str(i)) for i in range(3000)]
    frames = to_frames(summary(entries), 2000)
    assert max(map(len, frames)) <= FRAME_BYTES
    assert min(map(len, frames[:-1])) > FRAME_BYTES - 2000
    assert sum(len(json.loads(frame)["metrics"]) for frame in frames) == 3000


def test_an_entry_that_is_too_big_alone_has_a_frame_of_its_own():
    frames = to_frames(summary([entry("a"), entry("b" * 500), entry("c")]), 2000, max_bytes=600)
    assert [[each["endpoint"][0] for each in json.loads(frame)["metrics"]] for frame in frames] == [["a"], ["b"], ["c"]]


def test_tagged_entries_are_a_view_that_makes_the_frame_a_1_1():
    window = summary([entry()], [tag_entry()])
    tagged = ',"tagMetrics":[' + EXAMPLE[EXAMPLE.index('{"provider"') : -3].replace(
        '"requestCount":3', '"requestCount":2'
    )
    for old, new in (("1234.5", "834.5"), ("450.1", "434.5"), ("900", "600"), ("4200", "2800"), ("6.0", "4.0")):
        tagged = tagged.replace(old, new)
    expected = EXAMPLE[:-1].replace('"1.0"', '"1.1"') + tagged + ',"featureTag":"checkout"}]}'
    assert to_frames(window, 2000) == [expected.encode()]
    assert json.dumps(window.to_dict(), separators=(",", ":")) == expected
    assert window.protocol_version == "1.0"


def pairs(frame):
    """(endpoint, tag) of what is in a frame; no tag: a metric."""
    metrics = [(each["endpoint"], None) for each in frame["metrics"]]
    return metrics + [(each["endpoint"], each["featureTag"]) for each in frame.get("tagMetrics", [])]


def test_tagged_entries_go_with_their_metric_and_only_their_frames_are_1_1():
    window = summary([entry(name) for name in "abcdfe"], [tag_entry(name, tag) for tag in "xy" for name in "bae"])
    frames = [json.loads(frame) for frame in to_frames(window, 2)]
    assert [pairs(frame) for frame in frames] == [
        [("a", None), ("a", "x"), ("a", "y")],
        [("b", None), ("c", None), ("b", "x"), ("b", "y")],
        [("d", None), ("f", None)],
        [("e", None), ("e", "x"), ("e", "y")],
    ]
    assert [frame["protocolVersion"] for frame in frames] == ["1.1", "1.1", "1.0", "1.1"]
    assert ["tagMetrics" in frame for frame in frames] == [True, True, False, True]


def test_tagged_entries_that_no_frame_has_room_for_follow_in_frames_of_their_own():
    window = summary([entry("a"), entry("b")], [tag_entry("a", str(number)) for number in range(5)])
    frames = [json.loads(frame) for frame in to_frames(window, 2)]
    assert [pairs(frame) for frame in frames] == [
        [("a", None), ("a", "0"), ("a", "1")],
        [("a", "2"), ("a", "3")],
        [("b", None), ("a", "4")],
    ]


def test_a_tagged_entry_without_its_metric_is_not_lost():
    (frame,) = to_frames(summary([entry("a")], [tag_entry("b", "x")]), 2000)
    assert pairs(json.loads(frame)) == [("a", None), ("b", "x")]


@pytest.mark.parametrize("most", [1, 3, 100, 2000])
@pytest.mark.parametrize("max_bytes", [1000, 2777, 20_000, FRAME_BYTES])
def test_no_frame_with_tagged_entries_exceeds_what_it_may_have_and_none_is_lost(most, max_bytes):
    metrics = [entry(f"/{number}") for number in range(20)]
    tagged = [tag_entry(f"/{number % 15}", str(number // 15)) for number in range(150)]
    encoded = to_frames(summary(metrics, tagged), most, max_bytes)
    frames = [json.loads(frame) for frame in encoded]
    assert all(len(frame["metrics"]) <= most and len(frame.get("tagMetrics", [])) <= most for frame in frames)
    assert max(map(len, encoded)) <= max_bytes
    assert sorted(map(str, (pair for frame in frames for pair in pairs(frame)))) == sorted(
        map(
            str, [*[(each.endpoint, None) for each in metrics], *[(each.endpoint, each.feature_tag) for each in tagged]]
        )
    )


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (1_795_255_200_000_000_000, "2026-11-21T10:00:00.000Z"),
        (1_795_255_230_001_999_999, "2026-11-21T10:00:30.001Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1970-01-01T00:00:00.000Z"),
        (1 << 80, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_utc_with_milliseconds(at_ns, text):
    assert iso_time(at_ns) == text
