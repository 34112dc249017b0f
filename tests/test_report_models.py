"""``recost-collector report --by model``: what each LLM cost, and all that is none."""

from __future__ import annotations

import re

import pytest

from recost.wire import LlmEntry, MetricEntry, TagEntry, WindowSummary, to_frames
from recost_collector import figures
from tests.conftest import Place
from tests.reporting import entry, json_of, text_of, window, write


def llm_entry(model="gpt-4o", tag="default", calls=1, usd=0.0, p95=20.0, unpriced=0):
    return LlmEntry("openai", model, tag, calls, 0, 1000, 500, 0, usd, unpriced, p95 * calls, p95, p95)


def write_shop(place: Place) -> None:
    metrics = [
        entry(calls=10, cents=5.0, p95=900.0),
        MetricEntry("openai", "gpt-4o", "TRACK", 2, 0, 40.0, 20.0, 20.0, 0, 0, 1.5),
    ]
    llm = [llm_entry(calls=2, usd=0.015), llm_entry(tag="a", usd=0.02), llm_entry("gpt-5", calls=3, usd=0.01)]
    start, end = "2026-11-21T10:00:00.000Z", "2026-11-21T10:00:30.000Z"
    summary = WindowSummary("", "production", "python", "1.0", start, end, metrics, llm_metrics=llm)
    (frame,) = to_frames(summary, 2000)
    write(place.local, "shop.jsonl", frame + b"\n", window(entry(endpoint="old", calls=2, cents=0.25, p95=70.0)))


def test_the_groups_are_models_and_the_rest_and_add_up_to_the_total(place: Place, capsys):
    write_shop(place)

    found = json_of(capsys, "--by", "model")

    assert [(g["provider"], g["model"], g["calls"], round(g["costCents"], 9)) for g in found["groups"]] == [
        ("openai", "gpt-4o", 3, 3.5),
        ("(no model)", "(no model)", 8, 2.25),
        ("openai", "gpt-5", 3, 1.0),
    ]
    assert {**found["total"], "meanLatencyMs": 0} == {**json_of(capsys)["total"], "meanLatencyMs": 0}
    assert found["total"]["costCents"] == 6.75


def test_the_text_says_what_has_no_model(place: Place, capsys):
    write_shop(place)
    assert "(no model): all calls less those of LLMs" in text_of(capsys, "--by", "model")


def test_what_has_no_price_is_said_to_have_none(place: Place, capsys):
    start, end = "2026-11-21T10:00:00.000Z", "2026-11-21T10:00:30.000Z"
    llm = [
        llm_entry("ft:secret", calls=3, unpriced=2),
        llm_entry("ft:secret", tag="a", unpriced=1),
        llm_entry(usd=0.01),
    ]
    metrics = [MetricEntry("openai", model, "TRACK", n, 0, 40.0, 20.0, 20.0, 0, 0, 0.5) for model, n in (("x", 5),)]
    (frame,) = to_frames(WindowSummary("", "", "python", "1.0", start, end, metrics, llm_metrics=llm), 2000)
    write(place.local, "shop.jsonl", frame + b"\n")

    groups = json_of(capsys, "--by", "model")["groups"]
    assert {group["model"]: group["unpricedCalls"] for group in groups} == {"ft:secret": 3, "gpt-4o": 0}
    assert "The price of 3 calls is not known, here it is $0 or an estimate: openai ft:secret." in text_of(
        capsys, "--by", "model"
    )


def test_no_row_is_above_the_total_and_of_models_nobody_knows_the_bytes(
    place: Place, capsys, monkeypatch: pytest.MonkeyPatch
):
    """An LLM call lasts longer than the request in it, and is counted without its bytes."""
    monkeypatch.setenv("COLUMNS", "200")
    start, end = "2026-11-21T10:00:00.000Z", "2026-11-21T10:00:30.000Z"
    summary = WindowSummary("", "", "python", "1.0", start, end, [entry(p95=70.0)], llm_metrics=[llm_entry(p95=90.0)])
    write(place.local, "shop.jsonl", *(frame + b"\n" for frame in to_frames(summary, 2000)))

    found = json_of(capsys, "--by", "model")
    assert [(group["maxP95LatencyMs"], group["requestBytes"]) for group in found["groups"]] == [(90.0, None)]
    assert (found["total"]["maxP95LatencyMs"], found["total"]["requestBytes"]) == (90.0, entry().total_request_bytes)
    rows = [line.split() for line in text_of(capsys, "--by", "model").splitlines()]
    (of_model,) = [row for row in rows if row[:1] == ["openai"]]
    assert of_model[-3:-1] == ["-", "-"]


def write_slow_views(place: Place) -> None:
    """Ten calls, one of them tagged and slower than most, one of them in an LLM call that lasts longer still."""
    start, end = "2026-11-21T10:00:00.000Z", "2026-11-21T10:00:30.000Z"
    tagged = TagEntry("openai", "chat_completions", "POST", 1, 0, 300.0, 300.0, 300.0, 0, 0, 0.0, "checkout")
    llm = [llm_entry(p95=2000.0, usd=0.01)]
    calls = [entry(calls=10, p95=70.0)]
    summary = WindowSummary("", "", "python", "1.0", start, end, calls, tag_metrics=[tagged], llm_metrics=llm)
    write(place.local, "shop.jsonl", *(frame + b"\n" for frame in to_frames(summary, 2000)))


SLOWEST = {"provider": 70.0, "endpoint": 70.0, "environment": 70.0, "tag": 300.0, "model": 2000.0}


@pytest.mark.parametrize("by", SLOWEST)
def test_the_total_is_as_slow_as_the_slowest_row_above_it(place: Place, capsys, by: str):
    """Not as some call that only another grouping shows."""
    write_slow_views(place)

    found = json_of(capsys, "--by", by)
    means = [group["meanLatencyMs"] for group in found["groups"]]
    assert max(group["maxP95LatencyMs"] for group in found["groups"]) == SLOWEST[by]
    assert found["total"]["maxP95LatencyMs"] == SLOWEST[by]
    assert min(means) <= found["total"]["meanLatencyMs"] <= max(means)
    rows = [line for line in text_of(capsys, "--by", by).splitlines() if line.startswith("TOTAL ")]
    assert figures.latency(SLOWEST[by]) in rows[-1]


def test_each_table_of_the_page_has_the_total_of_its_own_rows(place: Place, capsys):
    write_slow_views(place)

    sections = re.findall(r"<h2>By (\w+)</h2>(.*?)</section>", text_of(capsys, "--html", "-"), re.DOTALL)

    totals = {by: text.rpartition("<tfoot>")[2].partition("</tfoot>")[0] for by, text in sections}
    assert sorted(totals) == ["endpoint", "model", "provider", "tag"]
    for by, foot in totals.items():
        latencies = re.findall(r">([0-9.,]+ m?s)<", foot)
        assert latencies[-1] == figures.latency(SLOWEST[by]), by


def test_what_is_no_llm_call_is_as_slow_as_the_requests_are(place: Place, capsys):
    """An LLM call's latency is longer than its request's: taken off, it would leave less than the others took."""
    write_slow_views(place)

    (rest,) = (group for group in json_of(capsys, "--by", "model")["groups"] if group["model"] == "(no model)")

    assert (rest["calls"], rest["meanLatencyMs"], rest["maxP95LatencyMs"]) == (9, 10.0, 70.0)
