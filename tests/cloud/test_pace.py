"""A slow service and a busy application: neither waits for the other."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from examples.standins import CloudStandIn, Scripted
from tests.cloud.application import KEY, application, pauses, posts, wait_for_posts
from tests.processes.support import Api, run_program

ANSWER_S = 2.0
MARGIN_S = 1.0
"""What a busy machine may add to the slowest requests; far from what it would be if one waited for the service."""

SCRIPT = """
import asyncio, json, sys, time, httpx, urllib3, recost
api, base_url, key = sys.argv[1:]
now = time.perf_counter

def requests(seconds):
    took, until = [], now() + seconds
    with urllib3.PoolManager(retries=False) as pool:
        while now() < until:
            since = now()
            pool.request("GET", api + "/v1/sync")
            took.append(now() - since)
    return took

async def loop_lags(seconds):
    lags, until = [], now() + seconds

    async def tick():
        while now() < until:
            since = now()
            await asyncio.sleep(0.002)
            lags.append(now() - since - 0.002)

    async with httpx.AsyncClient() as client:
        ticking = asyncio.create_task(tick())
        while now() < until:
            await client.get(api + "/v1/async")
        await ticking
    return lags

def measure(seconds):
    return {"request": requests(seconds), "event loop": asyncio.run(loop_lags(seconds))}

without = measure(1.0)
recost.init(api_key=key, project_id="shop", base_url=base_url, max_batch_size=5, shutdown_flush_timeout_ms=0)
print(json.dumps([without, measure(3.0)]))
"""


def distribution(samples: list[float]) -> dict[str, float]:
    ordered = sorted(samples)
    return {name: ordered[int(share * (len(ordered) - 1))] for name, share in SHARES.items()}


SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def test_nothing_in_the_application_waits_for_a_service_that_takes_two_seconds(
    cloud: CloudStandIn, api: Api, tmp_path: Path
) -> None:
    cloud.script = lambda _: Scripted(None, delay_s=ANSWER_S)
    script = tmp_path / "busy.py"
    script.write_text(SCRIPT)
    without, with_recost = json.loads(run_program(script, api.url, cloud.url, KEY))
    for what, samples in with_recost.items():
        before, after = distribution(without[what]), distribution(samples)
        for name, figures in (("without", before), ("with", after)):
            print(f"{what:10} {name:8}", *(f"{key} {value * 1000:7.2f} ms" for key, value in figures.items()))
        assert after["p99"] < before["p99"] + MARGIN_S
        assert after["max"] < ANSWER_S
    assert len(posts(cloud)) >= 2, "windows closed early meanwhile"
    assert all(pause >= ANSWER_S for pause in pauses(cloud)), "and none while an older one was under way"
    cloud.script = None


def test_windows_close_early_at_most_once_a_second(cloud: CloudStandIn, api: Api) -> None:
    with application(cloud, api, max_batch_size=2) as app:
        until = time.monotonic() + 3.3
        while time.monotonic() < until:
            app.call(2)
        wait_for_posts(cloud, 3)
    assert len(posts(cloud)) <= 5
    assert all(pause >= 0.9 for pause in pauses(cloud))


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
    cloud.answers.append(Scripted(None, delay_s=1.5))
    with application(cloud, api) as app:
        app.call()
        since = time.monotonic()
        assert app.flush(timeout_s) is False
        assert time.monotonic() - since < timeout_s + 0.5
        assert app.flush()
        assert app.status == "ok"
        since = time.monotonic()
        assert app.flush(), "nothing is undelivered"
        assert time.monotonic() - since < 0.1
    assert len(posts(cloud)) == 1
