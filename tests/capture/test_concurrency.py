"""Calls that overlap, that are cut off, and those that come after."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import threading
import uuid

import aiohttp
import pytest
import urllib3

from tests.capture.clients import ALL, ASYNC, HTTPX, TIMEOUT_S, ask
from tests.harness import wait_until

OVERLAPPING, FEW = 200, 20
THREADS, CALLS = 8, 100


def statuses(events):
    return sorted(event.status for event in events)


async def ask_many(client, url, count):
    """``count`` calls at once with one client of the kind."""
    if client == "aiohttp":
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(read(session.get(url)) for _ in range(count)))
        return
    module = importlib.import_module(client.partition("-")[0])
    limits = module.Limits(max_connections=None)
    async with module.AsyncClient(limits=limits, timeout=TIMEOUT_S) as shared:
        await asyncio.gather(*(shared.get(url) for _ in range(count)))


async def read(asked):
    async with asked as response:
        return await response.read()


async def cancel_one(client, url, has_arrived):
    task = asyncio.ensure_future(ask_many(client, url, 1))
    await asyncio.get_running_loop().run_in_executor(None, wait_until, has_arrived)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("client", ASYNC)
def test_overlapping_coroutines_are_an_event_each(client, gathering, events):
    gathering.expect(OVERLAPPING)

    asyncio.run(ask_many(client, f"{gathering.url}/x", OVERLAPPING))

    assert gathering.arrived == OVERLAPPING
    assert statuses(events) == [200] * OVERLAPPING


@pytest.mark.parametrize("client", ASYNC)
def test_overlapping_coroutines_of_one_task_that_was_cancelled_before(client, origin, gathering, events):
    gathering.expect(FEW)
    path = f"/hang/{uuid.uuid4()}"

    async def run():
        await cancel_one(client, origin.url + path, lambda: any(r.path == path for r in origin.received))
        await ask_many(client, f"{gathering.url}/x", FEW)

    asyncio.run(run())

    assert gathering.arrived == FEW
    assert statuses(events) == [0] + [200] * FEW


@pytest.mark.parametrize("client", ALL)
def test_an_interrupt_during_a_call_is_one_event_and_capture_goes_on(client, origin, events):
    """A real SIGINT while the client waits for the answer."""
    path = f"/hang/{uuid.uuid4()}"

    def interrupt_when_it_waits():
        wait_until(lambda: any(received.path == path for received in origin.received))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_when_it_waits)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        ask(client, "GET", origin.url + path)
    thread.join()
    ask(client, "GET", f"{origin.url}/ok")

    assert [(event.path, event.status) for event in events] == [(path, 0), ("/ok", 200)]


class Timeout(BaseException):
    """As gevent's: no ``Exception``, and raised wherever the call happens to be."""


@pytest.mark.parametrize("name", HTTPX)
def test_any_base_exception_inside_httpx_is_one_event(name, origin, events):
    module = importlib.import_module(name)

    def cut_off(_request):
        raise Timeout

    with module.Client(event_hooks={"request": [cut_off]}) as client, pytest.raises(Timeout):
        client.get(f"{origin.url}/ok/cut")
    ask(name, "GET", f"{origin.url}/ok")

    assert [(event.path, event.status) for event in events] == [("/ok/cut", 0), ("/ok", 200)]


def test_any_base_exception_inside_urllib3_is_one_event(origin, events):
    def cut_off():
        yield b"part"
        raise Timeout

    with urllib3.PoolManager() as pools, pytest.raises(Timeout):
        pools.request("POST", f"{origin.url}/ok/cut", body=cut_off())
    ask("urllib3", "GET", f"{origin.url}/ok")

    assert [(event.path, event.status) for event in events] == [("/ok/cut", 0), ("/ok", 200)]


def test_overlapping_coroutines_after_an_interrupt_inside_a_call(origin, gathering, events):
    """The interrupt ends the loop's run; the same loop goes on."""
    gathering.expect(FEW)

    async def interrupt(*_arguments):
        raise KeyboardInterrupt

    async def call():
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(interrupt)
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            await read(session.get(f"{origin.url}/ok"))

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(call())
        loop.run_until_complete(ask_many("aiohttp", f"{gathering.url}/x", FEW))
    finally:
        loop.close()

    assert statuses(events) == [0] + [200] * FEW


def test_a_coroutine_that_is_thrown_away_in_the_middle_is_one_event(origin, events):
    path = f"/hang/{uuid.uuid4()}"

    async def run():
        async with aiohttp.ClientSession() as session:
            asked = session.get(origin.url + path)
            asked.send(None)  # it waits for its connection now
            asked.close()

    asyncio.run(run())

    assert [(event.path, event.status) for event in events] == [(path, 0)]


@pytest.mark.parametrize("client", ["urllib3", *HTTPX])
def test_threads_that_share_a_client_are_an_event_for_each_call(client, origin, events):
    module = importlib.import_module(client)
    before = len(origin.received)
    with module.PoolManager(maxsize=THREADS) if client == "urllib3" else module.Client() as shared:

        def ask_often():
            for _ in range(CALLS):
                shared.request("GET", f"{origin.url}/ok")

        threads = [threading.Thread(target=ask_often) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(origin.received) - before == THREADS * CALLS
    assert statuses(events) == [200] * (THREADS * CALLS)
