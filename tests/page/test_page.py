"""``recost-collector report --html`` in a real browser: complete in itself, readable without script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recost.wire import LlmEntry, TagEntry, WindowSummary, iso_time, to_frames
from recost_collector.cli import main
from tests import browser
from tests.conftest import Place
from tests.reporting import entry, window, write

START_NS = 1_795_000_000 * 10**9
HOSTILE = "<script>alert(1)</script>\"'&"


def line(at: int) -> bytes:
    """One of several windows, half a minute each, with tags and models."""
    start, end = (iso_time(START_NS + (at + n) * 30 * 10**9) for n in (0, 1))
    calls = [entry(calls=10 + at, errors=at % 3, cents=20.0 + at), entry("stripe", HOSTILE, calls=5, p50=30, p95=90)]
    tag = TagEntry("openai", "chat_completions", "POST", 4, 0, 40.0, 10.0, 20.0, 9, 9, 8.0, "checkout")
    llm = LlmEntry("openai", "gpt-4o", "checkout", 4, 0, 100, 50, 0, 0.05, 0, 40.0, 10.0, 20.0)
    summary = WindowSummary("", "production", "python", "1.0", start, end, calls, tag_metrics=[tag], llm_metrics=[llm])
    (frame,) = to_frames(summary, 2000)
    return frame + b"\n"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    with browser.page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def written(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    write(place.local, "shop.jsonl", *map(line, range(60)))
    path = tmp_path / "spend.html"
    assert main(["report", "--html", str(path)]) == 0
    assert capsys.readouterr() == (f"{path}: 60 windows, $29.7000\n", "")
    return path


def test_the_page_loads_nothing_and_needs_no_script(written: Path, tab: browser.Page) -> None:
    tab.open(written, with_script=False)
    told = tab.ask("document.body.innerText")

    assert tab.requests == [written.as_uri()]
    assert tab.complaints == []
    for expected in ("$29.7000", "2,670", "By provider", "By model", "gpt-4o", "(no model)", "checkout", HOSTILE):
        assert expected in told, expected
    assert tab.ask("document.querySelectorAll('svg .slot title').length") > 100
    assert tab.ask("document.querySelectorAll('svg.chart').length") == 6
    assert tab.ask("document.querySelectorAll('details table').length") == 6


def test_the_script_sorts_tables_and_shows_what_is_under_the_pointer(written: Path, tab: browser.Page) -> None:
    tab.open(written)
    first_names = "[...document.querySelectorAll('section')].find(s => s.textContent.startsWith('By provider'))"
    rows = f"[...{first_names}.querySelector('.wide:not(details *) tbody').rows].map(r => r.cells[0].innerText)"
    heads = f"{first_names}.querySelectorAll('.wide:not(details *) th')"

    assert tab.ask(rows) == ["openai", "stripe"]
    tab.ask(f"{heads}[5].click()")  # by p50
    assert tab.ask(rows) == ["stripe", "openai"]
    tab.ask(f"{heads}[5].click()")
    assert tab.ask(rows) == ["openai", "stripe"]
    assert tab.ask("document.getElementById('tip').hidden") is True
    tab.point_at(".slot")
    assert "openai: $" in tab.ask("document.getElementById('tip').innerText")
    assert tab.complaints == []


def test_it_is_readable_in_the_dark_and_on_a_small_screen(written: Path, tab: browser.Page) -> None:
    colours = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    for dark in (False, True):
        tab.open(written, dark=dark, width=400)
        back, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in tab.ask(colours))
        assert (back < ink) is dark
        assert abs(back - ink) > 500
        assert tab.ask("document.documentElement.scrollWidth") <= 400


class Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "br"}:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Nothing to close."""

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


@pytest.mark.parametrize("lines", [0, 1])
def test_without_a_browser_the_page_is_whole_whatever_is_in_it(lines: int, place: Place, capsys) -> None:
    """Nothing, or one window without a cost, of a time that no chart can name."""
    ancient = {"start": "0001-01-01T00:00:00+14:00", "end": "9999-12-31T23:59:59-14:00"}
    write(place.local, "shop.jsonl", *[window(entry("p", HOSTILE, cents=0.0), **ancient)] * lines)

    assert main(["report", "--html", "-"]) == 0
    text = capsys.readouterr().out

    parser = Balance()
    parser.feed(text)
    assert parser.stack == []
    assert "<script>alert" not in text
    assert ("No window was found." in text) is not lines
