"""``recost-collector report --by model``: what each LLM cost, and all that is none."""

from __future__ import annotations

import pytest

from recost.wire import LlmEntry, MetricEntry, WindowSummary, to_frames
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
    assert found["total"] == json_of(capsys)["total"]
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
