"""``recost-collector report --by tag``: what the tags cost, and what has none."""

from __future__ import annotations

import json

import pytest

from recost.wire import TagEntry, WindowSummary, to_frames
from recost_collector.cli import main
from tests.conftest import Place
from tests.reporting import entry, json_of, text_of, window, write


def tag_entry(tag, endpoint="chat_completions", calls=1, errors=0, cents=0.0, p50=10.0, p95=20.0, sizes=(900, 4200)):
    sent, received = sizes
    return TagEntry("openai", endpoint, "POST", calls, errors, p50 * calls, p50, p95, sent, received, cents, tag)


def line(metrics, tagged):
    start, end = "2026-11-21T10:00:00.000Z", "2026-11-21T10:00:30.000Z"
    summary = WindowSummary("", "production", "python", "1.0", start, end, metrics, tag_metrics=tagged)
    (frame,) = to_frames(summary, 2000)
    return frame + b"\n"


def write_shop(place: Place) -> None:
    """A window in which every tagged endpoint has untagged calls, too, and one from before there were tags."""
    write(
        place.local,
        "shop.jsonl",
        line(
            [entry(calls=10, errors=3, cents=5.0, p95=900.0), entry(endpoint="all", calls=4, cents=1.0, p95=5000.0)],
            [
                tag_entry("checkout", calls=6, errors=1, cents=3.0, p95=800.0, sizes=(500, 4000)),
                tag_entry("search", calls=1, cents=0.5, p95=30.0, sizes=(100, 0)),
                tag_entry("checkout", "all", calls=4, cents=1.0, p95=5000.0),
            ],
        ),
        window(entry(endpoint="old", calls=2, cents=0.25, p95=70.0)),
    )


def test_the_rest_is_all_calls_less_the_tagged_ones(place: Place, capsys):
    write_shop(place)

    found = json_of(capsys, "--by", "tag")

    assert [(g["tag"], g["calls"], g["errors"], g["costCents"], g["maxP95LatencyMs"]) for g in found["groups"]] == [
        ("checkout", 10, 1, 4.0, 5000.0),
        ("(untagged)", 5, 2, 1.75, 900.0),
        ("search", 1, 0, 0.5, 30.0),
    ]
    assert [(g["requestBytes"], g["responseBytes"]) for g in found["groups"]] == [(1400, 8200), (1200, 4400), (100, 0)]
    assert found["by"] == "tag"
    assert found["total"] == json_of(capsys)["total"]
    assert (found["total"]["calls"], found["total"]["costCents"]) == (16, 6.25)


def test_the_text_says_what_the_rest_and_its_percentiles_are(place: Place, capsys, monkeypatch: pytest.MonkeyPatch):
    write_shop(place)
    monkeypatch.setenv("COLUMNS", "62")

    lines = text_of(capsys, "--by", "tag").splitlines()

    assert set(lines[10]) == {"-"}
    assert lines[6:12] == [
        "TAG         CALLS  ERRORS  ERROR %  P50 MAX  P95 MAX     COST",
        "checkout       10       1    10.0%    10 ms   5.00 s  $0.0400",
        "(untagged)      5       2    40.0%    10 ms   900 ms  $0.0175",
        "search          1       0     0.0%    10 ms    30 ms  $0.0050",
        lines[10],
        "TOTAL          16       3    18.8%    10 ms   5.00 s  $0.0625",
    ]
    assert any(line.startswith("(untagged): all calls less the tagged ones.") for line in lines)


def test_without_untagged_calls_there_is_no_rest(place: Place, capsys):
    write(place.local, "shop.jsonl", line([entry(calls=3, cents=0.3)], [tag_entry("a", calls=3, cents=0.3)]))

    assert [group["tag"] for group in json_of(capsys, "--by", "tag")["groups"]] == ["a"]
    assert "(untagged)" not in text_of(capsys, "--by", "tag")


def test_tags_of_a_file_that_contradicts_itself_do_not_make_less_than_nothing(place: Place, capsys):
    """``metrics`` is the whole truth: also the total does not follow a view that claims more."""
    write(place.local, "shop.jsonl", line([entry(calls=3, cents=1.0)], [tag_entry("a", calls=5, errors=1, cents=9.0)]))

    found = json_of(capsys, "--by", "tag")

    assert (found["total"]["calls"], found["total"]["costCents"]) == (3, 1.0)
    assert [(group["tag"], group["calls"]) for group in found["groups"]] == [("a", 5)]


def test_a_damaged_view_makes_the_line_unreadable_only_where_it_is_asked_for(place: Place, capsys):
    good = line([entry(calls=3)], [tag_entry("a", calls=1)])
    write(place.local, "shop.jsonl", good, good.replace(b'"featureTag":"a"', b'"featureTag":7'))

    assert json_of(capsys)["total"]["calls"] == 6
    assert main(["report", "--by", "tag", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["total"]["calls"], found["skippedLines"]["unreadable"]) == (3, 1)


def test_the_help_names_the_tag_and_what_its_rest_is(capsys):
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    told = capsys.readouterr().out
    assert "--by tag" in told
    assert "(untagged) is the difference between all calls and the tagged ones" in told
