"""Calls made under tags, in a real process with a real collector: what its file says of them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

import recost
from recost.tags import origin
from tests.harness import run_child, start_child, wait_for_child
from tests.processes.support import Api, call, tags, wait_for_leader, wait_until_delivered, windows


@recost.feature_tag("decorated")
def decorated(url: str) -> None:
    call(url, 3)


@recost.feature_tag("streamed")
async def streamed(url: str) -> Any:
    async with httpx.AsyncClient() as client:
        for _ in range(3):
            yield (await client.get(url)).status_code


async def three_at_once(url: str) -> None:
    """Three coroutines, each under a tag of its own, and a generator whose consumer has another."""

    async def work(tag: str, calls: int) -> None:
        async with recost.feature_tag(tag), httpx.AsyncClient() as client:
            for _ in range(calls):
                await client.get(url)

    await asyncio.gather(work("a", 5), work("b", 6), work("c", 7))
    async with httpx.AsyncClient() as client, recost.feature_tag("consumer"):
        async for _ in streamed(url):
            await client.get(url)


def make_calls(url: str) -> None:
    asyncio.run(three_at_once(url))
    decorated(url)
    with recost.feature_tag("threads"), ThreadPoolExecutor(2) as pool:
        call(url, 2)
        for done in [pool.submit(call, url, 4), pool.submit(decorated, url)]:
            done.result()
    with recost.feature_tag("forked"):
        assert wait_for_child(start_child(lambda: (call(url, 8), os._exit(0)))) == 0
    with pytest.raises(httpx.ConnectError), recost.feature_tag("failed"):
        httpx.get("http://127.0.0.3:1/refused")
    call(url)


OF_COROUTINES = {"a": 5, "b": 6, "c": 7, "streamed": 3, "consumer": 3}
TAGGED = {**OF_COROUTINES, "decorated": 6, "threads": 2, "forked": 8, "failed": 1}
UNTAGGED = 4 + 1
"""The thread's own calls, and the last one."""


def sums(entries: str, of: str) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for window in windows():
        for entry in window.get(entries, []):
            found[entry["provider"], entry["endpoint"], entry["method"]] += entry[of]
    return found


def test_calls_arrive_under_the_tag_that_they_were_made_under(api: Api):
    def program():
        recost.init(custom_providers=[recost.ProviderDef("127.0.0.2", "shop", cost_per_request_cents=0.5)])
        make_calls(f"{api.url}/orders/17")
        wait_for_leader()

    assert run_child(program) == 0
    wait_until_delivered(sum(TAGGED.values()) + UNTAGGED)

    assert tags() == TAGGED
    for of in ("requestCount", "errorCount", "totalRequestBytes", "totalResponseBytes", "estimatedCostCents"):
        metrics, tagged = sums("metrics", of), sums("tagMetrics", of)
        assert all(tagged[key] <= metrics[key] for key in tagged)
        assert set(tagged) <= set(metrics)
    assert sum(sums("tagMetrics", "errorCount").values()) == 1


@pytest.mark.parametrize(("route_tags", "found"), [(True, {"GET /orders/{id}": 2, "mine": 1}), (False, {"mine": 1})])
def test_calls_without_a_tag_have_that_of_their_route_only_when_asked_for(
    api: Api, route_tags: bool, found: dict[str, int]
):
    def program():
        recost.init(route_tags=route_tags)
        origin.set(lambda: "GET /orders/{id}")
        call(api.url, 2)
        with recost.feature_tag("mine"):
            call(api.url)
        origin.set(lambda: None)
        call(api.url)
        wait_for_leader()

    assert run_child(program) == 0
    wait_until_delivered(4)
    assert tags() == found


def test_windows_of_a_program_without_tags_say_nothing_of_tags(api: Api):
    assert run_child(lambda: (recost.init(), call(api.url, 3), wait_for_leader())) == 0
    wait_until_delivered(3)
    assert [(window["protocolVersion"], "tagMetrics" in window) for window in windows()] == [("1.0", False)]
