"""``recost.testing``: what a block captured, and what may be asked of it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import httpx
import pytest
import requests

import recost
from recost.testing import Calls, capture
from tests.harness import run_child
from tests.processes.support import Api, call, collectors, counts, rings, wait_until_delivered

OPENAI = "https://api.openai.com/v1/chat/completions"
GITHUB = "https://api.github.com/users/somebody"
STRIPE = "https://api.stripe.com/v1/charges"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A real client whose answers come from no network: 404 for a path with "missing" in it."""
    transport = httpx.MockTransport(lambda request: httpx.Response(404 if "missing" in request.url.path else 200))
    with httpx.Client(transport=transport) as made:
        yield made


@pytest.fixture
def four(client: httpx.Client) -> Calls:
    """Two of 2 cents, one of 1, and one of no known price that fails."""
    with capture() as calls:
        for url in (OPENAI, OPENAI, "https://api.openai.com/v1/other", f"{GITHUB}/missing"):
            client.post(url)
    return calls


def test_a_block_has_the_calls_that_end_in_it(api: Api):
    call(f"{api.url}/before")
    with capture() as calls:
        call(f"{api.url}/urllib3?secret=1")
        requests.post(f"{api.url}/requests", data=b"abc", timeout=20)
        assert [found.path for found in calls] == ["/urllib3", "/requests"]
    call(f"{api.url}/after")
    first, second = calls
    assert (first.method, first.url, first.host) == ("GET", f"{api.url}/urllib3", "127.0.0.2")
    assert (second.method, second.status_code, second.error) == ("POST", 200, False)
    assert (second.request_bytes, second.response_bytes) == (3, 2)
    assert second.latency_ms > 0
    assert (second.provider, second.endpoint, second.cost_cents) == ("unknown", "/requests", 0)


def test_nothing_is_delivered_started_or_left(api: Api):
    with capture():
        call(api.url)
    assert not rings()
    assert not collectors()
    assert not list(Path(os.environ["HOME"]).iterdir())
    assert not recost.is_installed()


def test_costs_and_names_are_those_of_the_provider_rules(four: Calls):
    assert four.count == len(four) == 4
    assert four.cost_cents == 5
    assert four.hosts == {"api.openai.com", "api.github.com"}
    assert {name: calls.count for name, calls in four.by_provider.items()} == {"openai": 3, "github": 1}
    assert four.by_endpoint["openai", "chat_completions"].cost_cents == 4
    assert four.by_host["api.github.com"] == four.errors == four[3:]
    assert four.errors[0].status_code == 404


def test_sums_have_no_rounding(client: httpx.Client):
    """0.1 + 0.1 + 0.1 is 0.3 here, so a budget of 0.3 holds."""
    with capture() as calls:
        for _ in range(3):
            client.post("https://api.sendgrid.com/v3/mail/send")
    calls.check(max_cost_cents=0.3)


def test_a_call_that_fails_without_an_answer_counts_as_an_error():
    with capture() as calls, pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.2:9/", timeout=20)
    assert (calls.count, calls.errors.count, calls[0].status_code) == (1, 1, 0)
    assert "  none  unknown" in str(calls)


def test_threads_and_tasks_are_seen(api: Api):
    async def ask() -> None:
        async with httpx.AsyncClient() as asking:
            await asyncio.gather(*(asking.get(f"{api.url}/task") for _ in range(3)))

    with capture() as calls:
        thread = threading.Thread(target=call, args=(f"{api.url}/thread",))
        thread.start()
        thread.join()
        asyncio.run(ask())
    assert sorted(found.path for found in calls) == ["/task", "/task", "/task", "/thread"]


def test_blocks_may_be_in_each_other(client: httpx.Client):
    with capture() as outer:
        client.get(GITHUB)
        with capture() as inner:
            client.get(STRIPE)
        client.get(GITHUB)
    assert (outer.count, inner.count) == (3, 1)


def test_calls_to_this_machine_count_unless_they_are_left_out():
    urls = ["http://localhost:9/", "http://127.0.0.1:9/", "http://127.0.0.2:9/"]
    with (
        capture() as everything,
        capture(exclude_loopback=True) as some,
        capture(exclude_hosts=["LOCALHOST"]) as others,
    ):
        for url in urls:
            with pytest.raises(requests.ConnectionError):
                requests.get(url, timeout=20)
    assert everything.hosts == {"localhost", "127.0.0.1", "127.0.0.2"}
    assert some.hosts == {"127.0.0.2"}
    assert others.hosts == {"127.0.0.1", "127.0.0.2"}


def test_rules_of_one_s_own_give_a_stand_in_a_price(api: Api):
    rule = recost.ProviderDef("127.0.0.2", "our-llm", endpoint_category="chat", cost_per_request_cents=0.4)
    with capture(custom_providers=[rule]) as calls:
        call(api.url, 2)
    assert calls.by_provider["our-llm"].cost_cents == 0.8


@pytest.mark.parametrize(
    "options", [{"exclude_hosts": "a.example"}, {"exclude_loopback": "no"}, {"custom_providers": [1]}]
)
def test_a_wrong_option_raises_before_anything_is_patched(options: dict[str, Any]):
    with pytest.raises(recost.ConfigError, match=next(iter(options))), capture(**options):
        pass
    assert not recost.is_installed()


def test_it_composes_with_an_application_s_own_init(api: Api):
    """Each call is delivered once by the one and captured once by the other, whichever began first."""

    def application() -> None:
        with capture() as outer:
            handle = recost.init(project_id="shop", collector_idle_exit_s=0.3)
            call(api.url)
            with capture() as inner:
                call(api.url)
            call(api.url)
            handle.dispose()
            call(api.url)
        assert (outer.count, inner.count) == (4, 1)
        assert not recost.is_installed()

    assert run_child(application) == 0
    wait_until_delivered(3, "shop")
    assert counts("shop") == {"/": 3}


@pytest.mark.parametrize(
    ("limits", "reason", "marked"),
    [
        ({"max_calls": 3}, "4 calls, max_calls=3", [4]),
        ({"max_calls": 0}, "4 calls, max_calls=0", [1, 2, 3, 4]),
        ({"max_cost_cents": 3.5}, "5.00 cents, max_cost_cents=3.5", [2, 3]),
        ({"forbid": ["API.github.com."]}, "forbid api.github.com", [4]),
        ({"forbid": ["*.github.com", "*.openai.com"]}, "forbid api.github.com, api.openai.com", [1, 2, 3, 4]),
        ({"allow": ["api.openai.com"]}, "not in allow=['api.openai.com']: api.github.com", [4]),
        ({"allow": []}, "not in allow=[]: api.github.com, api.openai.com", [1, 2, 3, 4]),
        ({"max_calls": 3, "forbid": ["*.github.com"]}, "4 calls, max_calls=3; forbid api.github.com", [4]),
    ],
)
def test_what_is_over_a_budget_is_marked_in_a_table(
    four: Calls, limits: dict[str, Any], reason: str, marked: list[int]
):
    with pytest.raises(AssertionError) as raised:
        four.check(**limits)
    first, *table = str(raised.value).splitlines()
    assert first == f"over budget: {reason}"
    assert [number for number, line in enumerate(table) if line.startswith(">")] == marked
    assert table[4].lstrip("> ").split() == ["POST", f"{GITHUB}/missing", "404", "github", "users", "0.00"]


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"max_calls": 4, "max_cost_cents": 5},
        {"allow": ["*.openai.com", "api.github.com"]},
        {"forbid": ["*.api.github.com", "github.com"]},
    ],
)
def test_what_is_within_passes(four: Calls, limits: dict[str, Any]):
    four.check(**limits)


@pytest.mark.parametrize(
    ("limits", "want"),
    [
        ({"max_calls": -1}, "max_calls=-1: want a whole number"),
        ({"max_calls": True}, "max_calls=True: want a whole number"),
        ({"max_cost_cents": float("nan")}, "max_cost_cents=nan: want US cents"),
        ({"max_cost_cents": "1"}, "max_cost_cents='1': want US cents"),
        ({"allow": "api.openai.com"}, "allow='api.openai.com': want a list of host names"),
        ({"forbid": ["https://api.openai.com"]}, "forbid='https://api.openai.com': want host names without scheme"),
        ({"forbid": ["127.0.0.1:80"]}, "forbid='127.0.0.1:80': want host names without scheme, port"),
    ],
)
def test_a_limit_that_is_none_is_refused(limits: dict[str, Any], want: str):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is looked at below
        Calls().check(**limits)
    assert str(raised.value).startswith(want)


def test_a_long_table_shows_what_is_over_budget(client: httpx.Client):
    with capture() as calls:
        for number in range(40):
            client.get(f"https://a.example/number/{number}" if number < 39 else STRIPE)
    with pytest.raises(AssertionError) as raised:
        calls.check(forbid=["api.stripe.com"])
    lines = str(raised.value).splitlines()
    assert len(lines) == 1 + 1 + 30 + 1
    assert lines[-2].startswith(">  GET https://api.stripe.com")
    assert lines[-1] == "… and 10 more"


def test_calls_are_shown_in_a_line_and_as_a_table(four: Calls):
    assert repr(four) == "<Calls: 4, 5.00 cents: api.openai.com 3, api.github.com 1>"
    assert str(four[:1]).splitlines() == [
        "  call                                             status  provider  endpoint          cents",
        "  POST https://api.openai.com/v1/chat/completions     200  openai    chat_completions   2.00",
    ]
    assert repr(Calls()) == "<Calls: 0, 0.00 cents>"


def test_a_preparation_can_be_forgotten(client: httpx.Client):
    with capture() as calls:
        client.get(GITHUB)
        calls.clear()
        client.get(STRIPE)
    assert calls.hosts == {"api.stripe.com"}


def test_a_part_is_a_choice_of_one_s_own(four: Calls):
    cheap: Callable[[Any], bool] = lambda found: found.cost_cents < 2  # noqa: E731 - what a user writes
    assert four.where(cheap) == four[2:]
    assert four != four[2:]
    assert four[0] in four
