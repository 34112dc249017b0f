"""A slow service and a busy application: neither waits for the other."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from examples.standins import CloudStandIn, Scripted
from tests.cloud.application import KEY, application, posts, wait_for_posts
from tests.processes.support import Api, run_program

MARGIN_S = 1.0
"""What a busy machine may add to most requests; that none waits for the service is seen by their coming to an end."""

SCRIPT = """
import asyncio, json, sys, time, httpx, urllib3, recost
api, base_url, key = sys.argv[1:]
now = time.perf_counter
ENOUGH = 100  # also on a machine that is too busy for so many in that time

def requests(seconds):
    took, until = [], now() + seconds
    with urllib3.PoolManager(retries=False) as pool:
        while now() < until or len(took) < ENOUGH:
            since = now()
            pool.request("GET", api + "/v1/sync")
            took.append(now() - since)
    return took

async def loop_lags(seconds):
    lags, until = [], now() + seconds

    async def tick():
        while now() < until or len(lags) < ENOUGH:
            since = now()
            await asyncio.sleep(0.002)
            lags.append(now() - since - 0.002)

    async with httpx.AsyncClient() as client:
        ticking = asyncio.create_task(tick())
        while not ticking.done():
            await client.get(api + "/v1/async")
        await ticking
    return lags

def measure(seconds):
    return {"request": requests(seconds), "event loop": asyncio.run(loop_lags(seconds))}

without = measure(0.4)
recost.init(api_key=key, project_id="shop", base_url=base_url, max_batch_size=5, shutdown_flush_timeout_ms=0)
print(json.dumps([without, measure(1.2)]))  # longer than the second between two windows
"""


def distribution(samples: list[float]) -> dict[str, float]:
    ordered = sorted(samples)
    return {name: ordered[int(share * (len(ordered) - 1))] for name, share in SHARES.items()}


SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def test_nothing_in_the_application_waits_for_a_service_that_does_not_answer(
    cloud: CloudStandIn, api: Api, tmp_path: Path
) -> None:
    """It answers when the application has ended: whatever waited for it would never do so."""
    answering = threading.Event()
    cloud.script = lambda _: Scripted(until=answering)
    script = tmp_path / "busy.py"
    script.write_text(SCRIPT)
    without, with_recost = json.loads(run_program(script, api.url, cloud.url, KEY))
    for what, samples in with_recost.items():
        before, after = distribution(without[what]), distribution(samples)
        for name, figures in (("without", before), ("with", after)):
            print(f"{what:10} {name:8}", *(f"{key} {value * 1000:7.2f} ms" for key, value in figures.items()))
        assert after["p90"] < before["p90"] + MARGIN_S
    (first,) = wait_for_posts(cloud, 1)
    begin, end = (datetime.fromisoformat(first.window[which][:-1]) for which in ("windowStart", "windowEnd"))
    assert (end - begin).total_seconds() < 30, "it closed early"
    assert len(posts(cloud)) == 1, "and none while an older one was under way"
    answering.set()
    wait_for_posts(cloud, 2)


def test_windows_close_early_at_most_once_a_second(cloud: CloudStandIn, api: Api) -> None:
    with application(cloud, api, max_batch_size=2) as app:
        while len(posts(cloud)) < 3:
            app.call(2)
        closed = [received.window["windowEnd"] for received in posts(cloud)]
    times = [datetime.fromisoformat(at[:-1]) for at in closed]
    assert all((after - before).total_seconds() >= 0.9 for before, after in zip(times, times[1:]))


def test_windows_do_not_close_early_while_an_older_one_waits(cloud: CloudStandIn, api: Api) -> None:
    """Not even one that was put back: a service that is down would get a window a second when it is back."""
    cloud.answers.append(503)
    with application(cloud, api, max_batch_size=2) as app:
        app.call(2)
        wait_for_posts(cloud, 1)
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            app.call(2)
        assert app.flush()
    assert len({received.key for received in posts(cloud)}) == 2


@pytest.mark.parametrize("timeout_s", [0.0, 0.3])
def test_flush_gives_up_at_its_timeout_and_delivery_goes_on_behind(
    cloud: CloudStandIn, api: Api, timeout_s: float
) -> None:
    answering = threading.Event()
    cloud.answers.append(Scripted(until=answering))
    with application(cloud, api) as app:
        app.call()
        assert app.flush(timeout_s) is False, "it ends before the service answers"
        answering.set()
        assert app.flush()
        assert app.status == "ok"
        assert app.flush(0.0), "nothing is undelivered"
    assert len(posts(cloud)) == 1
