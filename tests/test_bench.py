"""Each benchmark runs and has something to say. What it says about time is nobody's to assert."""

from __future__ import annotations

import gzip
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from benchmarks import capture, pictures, publish
from benchmarks.__main__ import SUBJECTS, main, measure
from benchmarks.clients import CLIENTS
from benchmarks.measure import Effort, interleaved, median, percentile, quartiles
from benchmarks.pair import running_pair
from benchmarks.place import place
from benchmarks.products import BY_NAME, Product
from benchmarks.rows import Row, draw, figure
from benchmarks.run import Run, Table, read, write
from benchmarks.sink import Sink, running_sink

SMOKE = Effort(0.005, others=False)
ROOT = Path(__file__).parents[1]

both_httpx = pytest.mark.skipif(
    sys.version_info < (3, 10), reason="it compares clients, and on a wire, that cannot all be there on 3.9"
)


@both_httpx
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subject_prints_its_rows(name: str, capsys: pytest.CaptureFixture[str]):
    tables = measure(name, SMOKE)

    printed = capsys.readouterr().out
    for table in tables:
        assert table.title in printed
        assert table.rows
        for row in table.rows:
            assert row.what in printed
            assert math.isfinite(row.value)
            assert row.ratio is not None, "a figure without a baseline says nothing"
            assert row.captured in {None, row.made}
            assert "NOT DELIVERED" not in row.note


@both_httpx
def test_every_client_makes_its_calls_on_a_wire_that_answers_by_itself():
    """The address of the server leads nowhere: a call that left the process would fail."""
    with place(), running_sink() as sink, running_pair(BY_NAME["clock"], sink, "http://127.0.0.2:9") as pair:
        for client in CLIENTS:
            turns = pair.take_turns(client, "stubbed", 0)
            assert turns.captured == turns.made > 0
        assert [pair.captured_together(client, 20) for client in ("httpx async", "httpx2 async", "aiohttp")] == [20] * 3


@both_httpx
def test_a_product_that_cannot_run_is_named_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    gone = Product("gone", "not to be had", BY_NAME["clock"].switch_on)  # the process knows no such name
    monkeypatch.setattr(capture, "PRODUCTS", (gone, BY_NAME["clock"]))

    rows = list(capture.measure(SMOKE))

    assert "bench: gone: ended when it was told to" in capsys.readouterr().out
    assert {row.case["product"] for row in rows} == {"clock"}


def test_the_program_says_where_it_ran_and_keeps_the_figures(tmp_path: Path):
    kept = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "import", "--quick", "--json", str(kept)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "collector")])
    done = subprocess.run(
        command, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert not done.stderr
    run = read(kept)
    assert f"python    {run.about['python']}" in done.stdout
    row = run.table("imports").row("import recost", "import msgspec")
    assert row is not None
    assert row.ratio == json.loads(kept.read_text())["tables"][0]["rows"][2]["ratio"]


def test_an_unknown_subject_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["everything"])

    assert ended.value.code == 2
    assert "'everything' is none of capture, offer" in capsys.readouterr().err


def test_variants_take_turns_in_changing_order():
    order: list[str] = []

    def step(name: str) -> int:
        order.append(name)
        return len(order)

    found = interleaved({name: lambda name=name: step(name) for name in "abc"}, 30)

    turns = ["".join(order[at : at + 3]) for at in range(0, 90, 3)]
    assert set(turns) == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert [order[place - 1] for place in found["b"]] == ["b"] * 30


def test_no_repetition_is_begun_after_the_limit():
    assert interleaved({"a": lambda: 1}, 1000, limit_s=0) == {"a": [1]}


def test_a_percentile_of_too_few_samples_is_none():
    samples = [float(number) for number in range(1, 102)]

    assert median(samples) == 51
    assert quartiles(samples) == (26, 76)
    assert percentile(samples, 0.99) == 100
    assert percentile(samples, 0.999) is None


def test_a_table_shows_what_is_there_and_aligns_it():
    rows = [
        Row("encode", 0.3, "us", "an empty function", 0.1, p99=12.0),
        Row("exit", 1234.5, "ms", "without recost", 20.0, note="slow", also={"CPU": 7.0}, made=20, captured=19),
    ]

    assert [line.split() for line in draw(rows)] == [
        ["median", "p99", "against", "median", "ratio", "captured"],
        ["encode", "0.30", "12.0", "us", "an", "empty", "function", "0.10", "x", "3.00"],
        ["exit", "1,234", "ms", "without", "recost", "20.0", "x", "61.7", "19", "of", "20", "CPU", "7.00;", "slow"],
    ]
    assert len({line.index("us") for line in draw(rows[:1])[1:]}) == 1


@pytest.mark.parametrize(("value", "shown"), [(0.0123, "0.01"), (9.99, "9.99"), (12.34, "12.3"), (98765.4, "98,765")])
def test_a_figure_has_about_three_digits(value: float, shown: str):
    assert figure(value) == shown


def test_a_place_gives_the_environment_back_and_leaves_no_folder():
    before = dict(os.environ)

    with place(RECOST_PROJECT_ID="bench") as here:
        assert os.environ["RECOST_RUNTIME_DIR"] == here.runtime
        assert os.environ["RECOST_PROJECT_ID"] == "bench"

    assert dict(os.environ) == before
    assert not any(os.path.exists(os.path.dirname(folder)) for folder in here)


def test_the_sink_counts_calls_in_the_form_of_each_product():
    window = msgspec.json.encode({"metrics": [{"requestCount": 3}, {"requestCount": 4}]})
    spans = msgspec.json.encode({"spans": [{"op": "http.client"}, {"op": "db"}, {"op": "http.client"}]})
    envelope = b'{}\n{"type":"session"}\n{}\n{"type":"transaction"}\n' + spans + b"\n"
    traces = msgspec.msgpack.encode([[{"name": "httpx.request"}, {"name": "connect"}], [{"name": "aiohttp.request"}]])
    server_span, client_span = b"\x30\x02", b"\x09" + b"t" * 8 + b"\x2a\x03GET\x30\x03"  # field 6 is the kind
    otlp = _field(1, _field(2, _field(2, client_span) + _field(2, server_span) + _field(2, client_span)))

    with running_sink() as sink:
        counts = [
            _taken(sink, "/projects/x/telemetry", window),
            _taken(sink, "/api/1/envelope/", envelope),
            _taken(sink, "/v0.4/traces", traces),
            _taken(sink, "/v1/traces", otlp),
            _taken(sink, "/info", b"{}"),
        ]
        assert counts == [7, 2, 2, 2, 0]
        assert sink.unreadable == 0
        assert _taken(sink, "/v0.4/traces", b"\xff") == 0
        assert sink.unreadable == 1


def test_the_sink_reads_what_is_sent_compressed():
    import urllib3

    window = msgspec.json.encode({"metrics": [{"requestCount": 5}]})
    with running_sink() as sink, urllib3.PoolManager() as pools:
        url = f"{sink.url}/projects/x/telemetry"
        answer = pools.request("POST", url, body=gzip.compress(window), headers={"Content-Encoding": "gzip"})
        assert answer.status == 200
        assert sink.calls == 5


def _field(number: int, message: bytes) -> bytes:
    return bytes([number << 3 | 2, len(message)]) + message


def _taken(sink: Sink, path: str, body: bytes) -> int:
    before = sink.calls
    sink.take(path, body)
    return sink.calls - before


def test_what_captured_nothing_or_is_below_the_noise_has_no_time(tmp_path: Path):
    kept = tmp_path / "run.json"
    write(_run(), kept)

    run = read(kept)
    shown = publish.as_markdown(run)

    assert run == _run()
    assert "| *the call itself* | 100 | 300 |  |" in shown
    assert "| **recost** | 7.00 | < 3.00 |  |" in shown
    assert "| Other | 25.0 (50%) | captures none | 1 |" in shown
    assert "control (no-op: nothing in both) came out between -2.00 and 3.00" in shown.replace("\n", " ")
    assert "Not in this run: offer, llm" in shown
    assert ET.fromstring(pictures.CALLS.draw(run)).tag.endswith("svg")
    assert not pictures.WORKERS.draw(run)


def _run() -> Run:
    def row(product: str, client: str, value: float, bare: float, captured: int) -> Row:
        case = {"product": product, "client": client, "wire": "stubbed"}
        return Row(client, value, "us", "a call", bare, made=10, captured=captured, case=case, quartiles=(1.0, 2.0))

    at_once = {"product": "Other", "client": "urllib3", "wire": "stubbed", "at_once": "200"}
    rows = [
        row("no-op", "urllib3", -2.0, 100.0, 10),
        row("no-op", "aiohttp", 3.0, 300.0, 10),
        row("recost", "urllib3", 7.0, 100.0, 10),
        row("recost", "aiohttp", 1.0, 300.0, 10),
        row("Other", "urllib3", 25.0, 100.0, 5),
        row("Other", "aiohttp", 0.5, 300.0, 0),
        Row("at once", 1.0, "captured", "calls", 200.0, case=at_once),
    ]
    about = {"date": "2026-11-22", "machine": "one", "load": "0", "python": "CPython 3.11", "packages": "urllib3 2"}
    return Run(about, 1.0, [Table("capture", "Calls", 60.0, rows)])


def test_the_readme_the_page_and_the_pictures_show_the_run_that_is_kept():
    run, readme = read(), publish.README.read_text(encoding="utf-8")

    assert publish.in_readme(readme, run) == readme, "scripts/bench --readme puts it there"
    assert publish.PAGE.read_text(encoding="utf-8") == publish.as_page(run)
    for path, picture in pictures.draw_all(run).items():
        assert path.read_text(encoding="utf-8") == picture
