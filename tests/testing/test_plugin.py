"""The pytest plugin, in a pytest of its own: what it holds to a budget, what it says, and that it is inert."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from tests.processes.support import rings

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.timeout(300)  # most run one pytest, under xdist with workers of its own, on a busy machine

Run = Callable[..., pytest.RunResult]

HEAD = """
import httpx, pytest, unittest

def call(url, method="POST"):
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client:
        client.request(method, url)

OPENAI = "https://api.openai.com/v1/chat/completions"
STRIPE = "https://api.stripe.com/v1/charges"
"""

OVER_BUDGET = """
@pytest.mark.recost(max_calls=2)
def test_calls():
    for url in (OPENAI, STRIPE, STRIPE):
        call(url)

@pytest.mark.recost(max_cost_cents=1.5)
def test_cost():
    call(OPENAI)

@pytest.mark.recost(allow=["*.openai.com"], forbid=["api.github.com"])
def test_hosts():
    call(OPENAI)
    call(STRIPE)

class TestCase(unittest.TestCase):
    @pytest.mark.recost(max_calls=0)
    def test_of_unittest(self):
        call(STRIPE)
"""

WITHIN = """
pytestmark = pytest.mark.recost(max_calls=1, allow=["api.openai.com"])

def test_the_module_s():
    call(OPENAI)

class TestClass:
    @pytest.mark.recost(max_calls=2)
    def test_nearest_decides(self):
        call(OPENAI)
        call(OPENAI)

    @pytest.mark.recost(max_calls=2)
    @pytest.mark.xfail(strict=True)
    def test_of_the_others_each_its_own(self):
        call(STRIPE)
"""

FIXTURES = """
from recost.testing import Calls

@pytest.fixture
def logged_in():
    call("https://login.example/")
    yield
    call("https://logout.example/")

def test_begins_with_the_test(recost_calls, logged_in):
    assert isinstance(recost_calls, Calls)
    assert recost_calls.count == 0
    call(OPENAI)
    assert recost_calls.hosts == {"api.openai.com"}
    assert recost_calls.cost_cents == 2
    assert recost_calls.by_provider["openai"].count == 1

@pytest.mark.recost(max_calls=0)
def test_of_others_is_not_the_test_s(logged_in):
    pass

@pytest.fixture
def at_most_one(recost_calls):
    yield
    assert recost_calls.count <= 1

def test_a_fixture_may_look_afterwards(at_most_one):
    call(OPENAI)
    call(OPENAI)

def test_asked_for_late(request):
    call(OPENAI)
    calls = request.getfixturevalue("recost_calls")
    call(STRIPE)
    assert calls.hosts == {"api.stripe.com"}
"""

LOOPBACK = """
def ask(host):
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{host}:9/")

@pytest.mark.recost(max_calls=0)
def test_counts():
    ask("127.0.0.1")

@pytest.mark.recost(max_calls=0, exclude_loopback=True)
def test_left_out():
    ask("127.0.0.1")

@pytest.mark.recost(max_calls=0, exclude_hosts=["127.0.0.2"])
def test_left_out_by_name():
    ask("127.0.0.2")
"""

FAILS_ITSELF = """
@pytest.mark.recost(max_calls=0)
def test_own_failure():
    call(OPENAI)
    assert 0, "of its own"

@pytest.mark.recost(max_calls=0)
def test_skipped():
    call(OPENAI)
    pytest.skip("not here")
"""

INERT = """
import sys

def test_nothing_of_it_is_loaded(pytestconfig):
    assert "recost_pytest" in sys.modules
    assert not [name for name in sys.modules if name.partition(".")[0] == "recost"]
    assert not {"httpx", "urllib3", "requests", "aiohttp"} & set(sys.modules)
    assert not [finder for finder in sys.meta_path if "recost" in type(finder).__module__]
"""

USED = """
import sys, pytest

@pytest.mark.recost
def test_it_is_loaded():
    assert "recost" in sys.modules
"""

SUMMED_UP = """
@pytest.fixture(autouse=True)
def each_time():
    call("https://api.github.com/users/somebody", "GET")

@pytest.mark.parametrize("n", range(3))
def test_n(n):
    for _ in range(n):
        call(OPENAI)
    call("https://a.example/orders/12345", "GET")
"""

SUMMARY = [
    "*= recost: outbound calls of the tests =*",
    "provider  endpoint          method  calls  errors  cents",
    "openai    chat_completions  POST        3       0   6.00",
    "github    users             GET         3       0   0.00",
    "unknown   /orders/{id}      GET         3       0   0.00",
    "total                                   9       0   6.00",
    "",
    "test                          calls  errors  cents",
    "test_summed_up.py::test_n[[]2[]]      4       0   4.00",
    "test_summed_up.py::test_n[[]1[]]      3       0   2.00",
    "test_summed_up.py::test_n[[]0[]]      2       0   0.00",
]


WRONG_MARKERS = {
    "max_call=2": "no such argument: max_call; want max_calls, max_cost_cents, allow, forbid, ",
    "3": "want arguments by name, got 3",
    "max_calls='3'": "max_calls='3': want a whole number, 0 or more",
    "allow='api.openai.com'": "allow='api.openai.com': want a list of host names",
    "exclude_loopback=1": "exclude_loopback=1: want a boolean",
}


@pytest.fixture
def run(pytester: pytest.Pytester) -> Iterator[Run]:
    """``run(name, test, *arguments)``: a pytest in a process of its own, on a file of that name. None delivers."""

    def runs(name: str, test: str, *arguments: str, head: str = HEAD) -> pytest.RunResult:
        pytester.makepyfile(**{name: head + test})
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    yield runs
    assert not rings()
    assert not list(Path(os.environ["RECOST_LOCAL_DIR"]).iterdir())


@pytest.fixture(params=[[], ["-n", "2"]], ids=["", "xdist"])
def workers(request: pytest.FixtureRequest) -> list[str]:
    """With pytest-xdist and without."""
    chosen: list[str] = request.param
    return chosen


def test_a_test_that_is_over_its_budget_fails_with_a_table(run: Run, workers: list[str]):
    result = run("test_over", OVER_BUDGET, *workers)
    result.assert_outcomes(failed=4)
    text = str(result.stdout)
    assert "over budget: 3 calls, max_calls=2" in text
    assert "over budget: 2.00 cents, max_cost_cents=1.5" in text
    assert "over budget: not in allow=['*.openai.com']: api.stripe.com" in text
    assert "over budget: 1 call, max_calls=0" in text
    result.stdout.fnmatch_lines(
        [
            "*call * status  provider  endpoint * cents",
            "   POST https://api.openai.com/v1/chat/completions     200  openai    chat_completions   2.00",
            "   POST https://api.stripe.com/v1/charges              200  stripe    charges            0.00",
            ">  POST https://api.stripe.com/v1/charges              200  stripe    charges            0.00",
        ]
    )
    assert "recost_pytest" not in text


def test_markers_of_module_and_class_are_narrowed_by_a_test_s_own(run: Run):
    run("test_within", WITHIN).assert_outcomes(passed=2, xfailed=1)


def test_the_fixture_has_the_calls_of_the_test_itself(run: Run):
    result = run("test_fixtures", FIXTURES)
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["E  *where 2 = <Calls: 2, 4.00 cents: api.openai.com 2>.count"])


def test_calls_to_stand_ins_count_unless_a_marker_leaves_them_out(run: Run):
    run("test_loopback", LOOPBACK).assert_outcomes(passed=2, failed=1)


def test_calls_to_stand_ins_are_left_out_by_an_option(run: Run):
    run("test_loopback", LOOPBACK, "--recost-exclude-loopback").assert_outcomes(passed=3)


def test_a_failure_of_the_test_s_own_stays_and_shows_the_calls(run: Run):
    result = run("test_fails_itself", FAILS_ITSELF, "-rs")
    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines(["E  *AssertionError: of its own", "*Captured recost call*", "over budget: 1 call,*"])


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["", "xdist"])
def test_wrong_markers_are_an_error_of_collection_a_line_each(run: Run, workers: list[str]):
    tests = "".join(
        f"@pytest.mark.recost({marker})\ndef test_{number}():\n    pass\n"
        for number, marker in enumerate(WRONG_MARKERS)
    )
    result = run("test_wrong", tests, *workers)
    assert result.ret in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED}  # the latter is xdist's
    for number, said in enumerate(WRONG_MARKERS.values()):
        assert f"test_wrong.py::test_{number}: @pytest.mark.recost: {said}" in str(result.stdout)
    assert "Traceback" not in str(result.stdout)
    assert "INTERNALERROR" not in str(result.stdout)


def test_unused_it_loads_nothing_and_says_nothing(run: Run):
    result = run("test_inert", INERT, head="")
    result.assert_outcomes(passed=1)
    assert "recost:" not in str(result.stdout)


def test_used_it_does(run: Run):
    """The control for the one above, and a marker without limits is none of the wrong ones."""
    run("test_used", USED, head="").assert_outcomes(passed=1)


def test_the_summary_has_all_calls_of_all_tests(run: Run, workers: list[str]):
    """Those of fixtures, too; under xdist from all workers."""
    result = run("test_summed_up", SUMMED_UP, "--recost", *workers)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(SUMMARY, consecutive=True)


def test_a_run_without_calls_says_so(run: Run):
    run("test_none", "def test_it():\n    pass", "--recost").stdout.fnmatch_lines(["*outbound calls*", "none"])


def test_pytest_lists_the_marker(pytester: pytest.Pytester):
    assert "@pytest.mark.recost(max_calls=None, " in str(pytester.runpytest_subprocess("--markers").stdout)
