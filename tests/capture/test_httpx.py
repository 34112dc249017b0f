"""httpx and httpx2, sync and async: redirects, auth flows, hooks, proxies, bodies, streams."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io

import pytest

from recost._capture import suppressed
from tests.capture.clients import HTTPX
from tests.capture.servers import BODY, CHUNKS
from tests.harness import closed_port


@pytest.fixture(params=HTTPX)
def httpx(request):
    return importlib.import_module(request.param)


@pytest.fixture(params=["sync", "async"])
def client(request, httpx):
    """A client of either kind that is used in the same way: the async one runs a loop for each call."""
    if request.param == "sync":
        with httpx.Client() as client:
            yield client
    else:
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            yield Blocking(httpx.AsyncClient(), loop)


class Blocking:
    def __init__(self, client, loop):
        self.client = client
        self.loop = loop

    def __getattr__(self, name):
        function = getattr(self.client, name)
        if not asyncio.iscoroutinefunction(function):
            return function
        return lambda *args, **kwargs: self.loop.run_until_complete(self._once(function(*args, **kwargs)))

    async def _once(self, coroutine):
        try:
            return await coroutine
        finally:
            await self.client._transport.aclose()  # connections live no longer than this


def hops(events):
    return [(event.method, event.path, event.status) for event in events]


def test_a_redirect_is_one_event_with_the_first_url_and_the_last_status(client, origin, events):
    response = client.post(f"{origin.url}/redirect/303/2?key=secret", content=b"123", follow_redirects=True)

    assert response.status_code == 200
    assert hops(events) == [("POST", "/redirect/303/2", 200)]
    assert (events[0].request_bytes, events[0].response_bytes) == (3, len(BODY))


def test_redirects_without_end_are_one_event(httpx, client, origin, events):
    with pytest.raises(httpx.TooManyRedirects):
        client.get(f"{origin.url}/loop", follow_redirects=True)

    assert hops(events) == [("GET", "/loop", 0)]


def test_a_redirect_that_is_not_followed_is_one_event(client, origin, events):
    client.get(f"{origin.url}/redirect/302/1")

    assert hops(events) == [("GET", "/redirect/302/1", 302)]


def test_an_auth_flow_that_asks_twice_is_one_event(httpx, client, origin, events):
    class Twice(httpx.Auth):
        def auth_flow(self, request):
            yield httpx.Request("POST", f"{origin.url}/ok/token")
            response = yield request
            assert response.status_code == 200

    client.get(f"{origin.url}/ok", auth=Twice())

    assert hops(events) == [("GET", "/ok", 200)]
    assert [received.path for received in origin.received[-2:]] == ["/ok/token", "/ok"]


def test_send_takes_its_request_by_position_or_by_name(client, origin, events):
    request = client.build_request("PUT", f"{origin.url}/ok")
    client.send(request)
    client.send(request=request)

    assert hops(events) == [("PUT", "/ok", 200)] * 2


def test_the_functions_of_the_module_are_captured(httpx, origin, events):
    httpx.get(f"{origin.url}/ok")
    with httpx.stream("GET", f"{origin.url}/ok"):
        pass

    assert hops(events) == [("GET", "/ok", 200)] * 2


def test_a_response_hook_that_raises_leaves_the_status_that_it_raised(httpx, origin, events):
    with httpx.Client(event_hooks={"response": [lambda response: response.raise_for_status()]}) as client:
        with pytest.raises(httpx.HTTPStatusError):
            client.get(f"{origin.url}/status/418")

    assert hops(events) == [("GET", "/status/418", 418)]


def test_a_base_url_and_a_forward_proxy_leave_the_real_target(httpx, origin, proxy, events):
    transport = httpx.HTTPTransport(proxy=httpx.Proxy(proxy.url))
    with httpx.Client(base_url=f"{origin.url}/ok/", mounts={"http://": transport}) as client:
        client.get("items", params={"key": "secret"})

    assert [(event.netloc, event.path, event.status) for event in events] == [(origin.netloc, "/ok/items", 200)]
    assert proxy.received[-1].path.startswith(f"{origin.url}/ok/items")


def test_an_international_host_has_the_name_it_is_asked_by(httpx, events):
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client:
        client.get("https://bücher.example:443/x")
        client.get("https://[::1]:8443/x")

    assert [event.netloc for event in events] == ["xn--bcher-kva.example", "[::1]:8443"]


def test_forms_and_json_count_as_sent(client, origin, events):
    client.post(f"{origin.url}/echo", data={"a": "1", "b": "ü"})
    client.post(f"{origin.url}/echo", json={"a": [1, 2, {"b": "ü"}]})
    client.post(f"{origin.url}/echo", files={"file": ("name.txt", b"x" * 1000)})

    assert [event.request_bytes for event in events] == [received.body_bytes for received in origin.received[-3:]]
    assert events[2].request_bytes > 1000


def test_streams_are_zero_and_read_by_the_client_alone(httpx, client, origin, events):
    def post(reads):
        async def slowly():
            for n in range(3):
                reads.append(n)
                yield b"chunk"

        def generated():
            for n in range(3):
                reads.append(n)
                yield b"chunk"

        client.post(f"{origin.url}/echo", content=slowly() if isinstance(client, Blocking) else generated())
        if not isinstance(client, Blocking):
            client.post(f"{origin.url}/echo", content=io.BytesIO(b"x" * 100))
        return reads

    with suppressed():
        without_capture = post([])
    with_capture = post([])

    assert with_capture == without_capture
    assert {event.request_bytes for event in events} == {0}


def test_a_chunked_answer_counts_as_read(client, origin, events):
    client.get(f"{origin.url}/chunked")

    assert events[0].response_bytes == sum(map(len, CHUNKS))


def test_a_stream_is_an_event_when_its_headers_are_there_and_stays_unread(httpx, origin, events):
    with httpx.Client() as client:
        with client.stream("GET", f"{origin.url}/ok") as response:
            assert [event.response_bytes for event in events] == [len(BODY)]
            assert not response.is_stream_consumed
            assert b"".join(response.iter_raw()) == BODY
        with client.stream("GET", f"{origin.url}/chunked") as response:
            assert [event.response_bytes for event in events] == [len(BODY), 0]
            assert b"".join(response.iter_raw()) == b"".join(CHUNKS)

    assert len(events) == 2


def test_an_async_stream_is_read_as_without_us(httpx, origin, events):
    async def read():
        async with httpx.AsyncClient() as client:
            async with client.stream("GET", f"{origin.url}/chunked") as response:
                assert len(events) == 1
                return b"".join([chunk async for chunk in response.aiter_bytes()])

    assert asyncio.run(read()) == b"".join(CHUNKS)
    assert [event.response_bytes for event in events] == [0]


def test_what_names_no_host_is_no_call(httpx, events):
    with httpx.Client() as client, pytest.raises(httpx.UnsupportedProtocol):
        client.get("/relative")

    assert events == []


def test_a_refused_stream_is_one_event(httpx, events):
    with closed_port("127.0.0.2") as port, pytest.raises(httpx.ConnectError):
        with httpx.stream("GET", f"http://127.0.0.2:{port}/x"):
            pass

    assert hops(events) == [("GET", "/x", 0)]
