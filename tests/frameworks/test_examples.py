"""The examples, started as their README says: each call is delivered once, with its origin."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.standins import ProviderStandIn
from examples.standins.server import Answer, Request, StandIn, json_answer
from tests.harness import END_S, wait_until
from tests.processes.serving import serving
from tests.processes.support import ROOT, counts, program, run_program, tags, wait_until_idle, windows

QUIET = ("-W", "ignore:You're running the worker")
SERVERS = {
    "fastapi_app.py": (("--port", "0"), "/projects/{owner}/{name}"),
    "flask_app.py": (("--port", "0"), "/projects/<owner>/<name>"),
    "django_site.py": (("127.0.0.1:0", "--noreload"), "projects/<owner>/<name>"),
}


class GitHub:
    """What it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: Request) -> Answer:
        self.asked.append(request.path)
        return json_answer({"stargazers_count": 7})


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    asked = GitHub()
    with StandIn(asked.answer, [("127.0.0.2", 0)]) as server:
        asked.url = "http://{}:{}".format(*server.addresses[0])
        monkeypatch.setenv("GITHUB_URL", asked.url)
        monkeypatch.setenv("PYTHONUNBUFFERED", "1")  # for Django, which does not flush where it says it listens
        monkeypatch.chdir(ROOT)
        yield asked


def arguments_of(example: str) -> list[str]:
    """What Python has to run for the command of that row: console scripts are modules of the same name."""
    rows = [line for line in Path("examples/README.md").read_text().splitlines() if line.startswith(f"| [{example}]")]
    found = re.search(r"`([^`]+)` \|$", rows[0])
    assert found is not None
    words = [word for word in found[1].split() if "=" not in word]
    if words[0] == "recost-run":
        words = ["recost.run", sys.executable, *words[2:]]
    command, *arguments = words
    return arguments if command == "python" else ["-m", command, *arguments]


@pytest.mark.parametrize("example", SERVERS)
def test_an_example_of_a_server_answers_and_its_call_is_delivered_with_its_route(github: GitHub, example: str):
    options, route = SERVERS[example]
    with serving(*arguments_of(example), *options) as server:
        assert json.loads(server.get("/projects/python/cpython")) == {"status": 200, "stars": 7}
        server.stop(signal.SIGINT)
    expect_one_call(github, example.partition("_")[0], route)


def test_the_example_of_celery_runs_a_task_and_its_call_is_delivered_with_its_name(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("QUEUE_FOLDER", str(tmp_path))
    worker = arguments_of("celery_tasks.py")
    task = "examples.celery_tasks.count_stars"
    with program(*QUIET, *worker) as process:
        run_program(*worker[:-1], "call", task, "--args", '["python/cpython"]')
        wait_until(lambda: github.asked, what="the task's call")
        process.terminate()
        output, _ = process.communicate(timeout=END_S)
        assert process.returncode == 0, output
    expect_one_call(github, "celery", task)


def test_the_example_of_a_script_says_what_each_step_costs(github: GitHub):
    assert "psf/requests                7 stars" in run_program(*arguments_of("script.py"))
    wait_until_idle()
    assert tags("script") == {"stars": 2, "search": 1}
    assert len(github.asked) == 3


def test_the_example_of_a_program_that_knows_nothing_is_captured(github: GitHub):
    with program(*arguments_of("nightly.py"), RECOST_PROJECT_ID="nightly") as process:
        output, _ = process.communicate(timeout=END_S)
        assert (process.returncode, output.splitlines()[0]) == (0, "7")
    wait_until_idle()
    assert github.asked == ["/repos/python/cpython"]
    assert counts("nightly") == {"/repos/python/cpython": 1}


def test_the_example_of_an_llm_has_what_the_model_says_that_it_used():
    pytest.importorskip("openai")
    with ProviderStandIn(error_rate=0, latency_scale=0) as providers:
        url = f"{providers.url('openai')}/v1"
        run_program(*arguments_of("assistant.py"), OPENAI_API_KEY="x", OPENAI_BASE_URL=url)
    wait_until_idle()
    [told] = [row for window in windows("assistant") for row in window["llmMetrics"]]
    wanted = {"requestCount": 1, "promptTokens": 1000, "completionTokens": 500, "featureTag": "answer"}
    assert {name: told[name] for name in wanted} == wanted


def test_the_example_of_tests_passes_within_its_budget_and_sums_up():
    with ProviderStandIn(error_rate=0, latency_scale=0) as providers:
        output = run_program(*arguments_of("test_checkout.py"), STRIPE_URL=providers.url("stripe"))
    assert "3 passed" in output
    assert re.search(r"/v1/charges +POST +2 ", output), output


def expect_one_call(github: GitHub, project: str, origin: str) -> None:
    wait_until_idle()
    assert github.asked == ["/repos/python/cpython"]
    assert counts(project) == {"/repos/python/cpython": 1}
    assert tags(project) == {origin: 1}
