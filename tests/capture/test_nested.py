"""A client on a client counts once; what the user's code does while a client runs it counts for itself."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib
import threading

import aiohttp
import pytest
import requests
import urllib3

from tests.capture.clients import HTTPX


@pytest.fixture(params=HTTPX)
def httpx(request):
    return importlib.import_module(request.param)


def calls(events):
    return [(event.method, event.path, event.status) for event in events]


def on_aiohttp(httpx, before=None):
    """A transport of httpx that sends through aiohttp, as httpx-aiohttp does; ``before`` runs ahead of each request."""

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            if before is not None:
                await before()
            async with aiohttp.ClientSession(auto_decompress=False) as session:
                body = await request.aread()
                url, options = str(request.url), {"data": body, "allow_redirects": False}
                async with session.request(request.method, url, **options) as response:
                    content = await response.read()
                    return httpx.Response(response.status, headers=list(response.headers.items()), content=content)

    return Transport()


def on_urllib3(httpx):
    class Transport(httpx.BaseTransport):
        def handle_request(self, request):
            with urllib3.PoolManager() as pools:
                response = pools.request(request.method, str(request.url), body=request.read(), redirect=False)
                return httpx.Response(response.status, headers=list(response.headers.items()), content=response.data)

    return Transport()


def get(client_class, url, method="GET", **settings):
    async def run():
        async with client_class(**settings) as client:
            return await client.request(method, url)

    return asyncio.run(run())


def test_httpx_on_aiohttp_is_one_event(httpx, origin, events):
    assert get(httpx.AsyncClient, f"{origin.url}/ok?x=1", transport=on_aiohttp(httpx)).status_code == 200

    assert calls(events) == [("GET", "/ok", 200)]
    assert events[0].response_bytes > 0


def test_httpx_on_urllib3_is_one_event(httpx, origin, events):
    with httpx.Client(transport=on_urllib3(httpx)) as client:
        assert client.post(f"{origin.url}/ok", content=b"123").status_code == 200

    assert calls(events) == [("POST", "/ok", 200)]


def test_redirects_of_httpx_on_aiohttp_are_one_event(httpx, origin, events):
    url = f"{origin.url}/redirect/303/2"

    get(httpx.AsyncClient, url, "POST", transport=on_aiohttp(httpx), follow_redirects=True)

    assert calls(events) == [("POST", "/redirect/303/2", 200)]


def test_an_auth_flow_of_httpx_on_aiohttp_is_one_event(httpx, origin, events):
    class Twice(httpx.Auth):
        def auth_flow(self, request):
            yield httpx.Request("POST", f"{origin.url}/ok/token")
            yield request

    get(httpx.AsyncClient, f"{origin.url}/ok", transport=on_aiohttp(httpx), auth=Twice())

    assert calls(events) == [("GET", "/ok", 200)]


def test_calls_of_an_event_hook_are_the_users(httpx, origin, events):
    """Also one to the same server with the same method, and also with another client."""

    def report(response):
        requests.get(f"{origin.url}/ok/requests", timeout=20)
        httpx.get(f"{origin.url}/ok/httpx")

    with httpx.Client(event_hooks={"response": [report]}) as client:
        client.get(f"{origin.url}/ok")

    assert calls(events) == [("GET", "/ok/requests", 200), ("GET", "/ok/httpx", 200), ("GET", "/ok", 200)]


def test_a_call_of_a_hook_does_not_hide_that_the_outer_one_goes_on(httpx, origin, events):
    async def report(_request):
        async with httpx.AsyncClient() as other:
            await other.get(f"{origin.url}/ok/hook")

    get(httpx.AsyncClient, f"{origin.url}/ok", transport=on_aiohttp(httpx), event_hooks={"request": [report]})

    assert calls(events) == [("GET", "/ok/hook", 200), ("GET", "/ok", 200)]


def test_calls_of_an_auth_flow_with_another_client_are_the_users(httpx, origin, events):
    class Fetching(httpx.Auth):
        def auth_flow(self, request):
            requests.post(f"{origin.url}/ok/token", timeout=20)
            yield request

    httpx.get(f"{origin.url}/ok", auth=Fetching())

    assert calls(events) == [("POST", "/ok/token", 200), ("GET", "/ok", 200)]


def test_calls_of_an_application_that_runs_inside_a_transport_are_the_users(httpx, origin, events):
    async def application(scope, receive, send):
        async with aiohttp.ClientSession() as session, session.get(f"{origin.url}/ok/inside"):
            pass
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    get(httpx.AsyncClient, "http://application.test/x", transport=httpx.ASGITransport(app=application))

    assert calls(events) == [("GET", "/ok/inside", 200), ("GET", "/x", 204)]


def test_calls_of_a_generated_body_are_the_users(httpx, origin, events):
    def body():
        yield requests.get(f"{origin.url}/ok/part", timeout=20).content

    httpx.post(f"{origin.url}/echo", content=body())

    assert calls(events) == [("GET", "/ok/part", 200), ("POST", "/echo", 200)]


def test_a_task_that_a_call_starts_makes_calls_of_its_own(httpx, origin, events):
    """It inherits the context of the call, asks for the same while that one is open, and goes on after its end."""
    tasks = []

    async def ask_twice(asked_once, call_is_over):
        for _ in range(2):
            async with aiohttp.ClientSession() as session, session.get(f"{origin.url}/ok"):
                asked_once.set()
            await call_is_over.wait()

    async def run():
        asked_once, call_is_over = asyncio.Event(), asyncio.Event()

        async def before():
            tasks.append(asyncio.ensure_future(ask_twice(asked_once, call_is_over)))
            await asked_once.wait()

        async with httpx.AsyncClient(transport=on_aiohttp(httpx, before)) as client:
            await client.get(f"{origin.url}/ok")
        call_is_over.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())

    assert calls(events) == [("GET", "/ok", 200)] * 3


def test_a_thread_that_a_call_starts_makes_calls_of_its_own(httpx, origin, events):
    class Transport(httpx.BaseTransport):
        def handle_request(self, request):
            context = contextvars.copy_context()
            ask = threading.Thread(target=context.run, args=(requests.get, str(request.url)), kwargs={"timeout": 20})
            ask.start()
            ask.join()
            return httpx.Response(200)

    with httpx.Client(transport=Transport()) as client:
        client.get(f"{origin.url}/ok")

    assert calls(events) == [("GET", "/ok", 200)] * 2


def test_a_greenlet_that_a_call_starts_makes_calls_of_its_own(httpx, origin, events):
    greenlet = importlib.import_module("greenlet")

    class Transport(httpx.BaseTransport):
        def handle_request(self, request):
            ask = greenlet.greenlet(lambda: requests.get(str(request.url), timeout=20))
            ask.gr_context = contextvars.copy_context()
            ask.switch()
            return httpx.Response(200)

    with httpx.Client(transport=Transport()) as client:
        client.get(f"{origin.url}/ok")

    assert calls(events) == [("GET", "/ok", 200)] * 2


def test_a_finished_call_holds_nothing_for_those_who_inherited_it(httpx, origin, events):
    """A task may live for days; the request and its body must not."""

    class Body(bytes):
        alive = 0

        def __new__(cls, *args):
            cls.alive += 1
            return super().__new__(cls, *args)

        def __del__(self):
            Body.alive -= 1

    contexts = []

    def keep_context(_request):
        contexts.append(contextvars.copy_context())

    with httpx.Client(event_hooks={"request": [keep_context]}) as client:
        client.post(f"{origin.url}/echo", content=Body(b"x" * 10))

    gc.collect()  # what httpx makes for a call has cycles of its own
    assert contexts
    assert Body.alive == 0
