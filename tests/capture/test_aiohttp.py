"""aiohttp: redirects, base_url, proxies, bodies, streams, what the user gets to hold."""

from __future__ import annotations

import asyncio
import gc
import io
import warnings

import aiohttp
import pytest
from aiohttp import web

from recost._capture import add_sink, remove_sink, suppressed
from tests.capture.servers import BODY, CHUNKS, HOST
from tests.harness import closed_port


def hops(events):
    return [(event.method, event.path, event.status) for event in events]


async def ask(session, method, url, **options):
    async with session.request(method, url, **options) as response:
        return await response.read()


def run(test, **settings):
    """Run the coroutine function ``test`` with a session of its own."""

    async def with_session():
        async with aiohttp.ClientSession(**settings) as session:
            return await test(session)

    return asyncio.run(with_session())


def test_a_redirect_is_one_event_with_the_first_url_and_the_last_status(origin, events):
    async def test(session):
        async with session.post(f"{origin.url}/redirect/303/2", params={"key": "secret"}, json={"a": 1}) as response:
            assert response.status == 200

    run(test)
    assert hops(events) == [("POST", "/redirect/303/2", 200)]
    assert (events[0].request_bytes, events[0].response_bytes) == (len('{"a": 1}'), len(BODY))


def test_redirects_without_end_are_one_event(origin, events):
    async def test(session):
        with pytest.raises(aiohttp.TooManyRedirects):
            await ask(session, "POST", f"{origin.url}/loop", data=b"123")

    run(test)
    assert [(event.path, event.status, event.request_bytes) for event in events] == [("/loop", 0, 3)]


def test_base_url_and_a_forward_proxy_leave_the_real_target(origin, proxy, events):
    async def test(session):
        await ask(session, "GET", "/ok/items", params={"key": "secret"})
        await ask(session, "GET", "/ok/items", proxy=proxy.url)
        with pytest.raises(aiohttp.ClientError):
            await ask(session, "GET", "/drop")

    run(test, base_url=origin.url)
    assert [(event.netloc, event.path, event.status) for event in events] == [
        (origin.netloc, "/ok/items", 200),
        (origin.netloc, "/ok/items", 200),
        (origin.netloc, "/drop", 0),
    ]
    assert proxy.received[-1].path == f"{origin.url}/ok/items"


takes_functions = pytest.mark.skipif(
    tuple(map(int, aiohttp.__version__.split(".")[:2])) < (3, 9), reason="raise_for_status is True or False"
)


@pytest.mark.parametrize("how", ["session", "call", pytest.param("function", marks=takes_functions)])
def test_raise_for_status_leaves_the_status_that_it_raised(how, origin, events):
    async def check(response):
        if not response.ok:
            raise RuntimeError(response.status)

    async def test(session):
        expect = RuntimeError if how == "function" else aiohttp.ClientResponseError
        how_to_raise = {"session": None, "call": True, "function": check}[how]
        with pytest.raises(expect):
            await ask(session, "GET", f"{origin.url}/status/418", raise_for_status=how_to_raise)

    run(test, raise_for_status=how == "session")
    assert hops(events) == [("GET", "/status/418", 418)]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_answer_that_is_no_http_is_no_status(origin, events):
    async def test(session):
        with pytest.raises(aiohttp.ClientError):
            await ask(session, "GET", f"{origin.url}/nonsense")

    run(test)
    gc.collect()  # aiohttp leaves the connection to it, with a warning; that belongs to this test
    assert hops(events) == [("GET", "/nonsense", 0)]


def test_every_kind_of_body_that_is_held_whole_counts_as_sent(origin, events):
    form = aiohttp.FormData({"a": "1", "b": "ü"})
    upload = aiohttp.FormData()
    upload.add_field("file", b"x" * 1000, filename="name.txt")
    held = [b"12345", bytearray(b"12345"), memoryview(b"12345"), "größer", {"a": "ü"}, [("a", "1")], form, upload]

    async def test(session):
        for data in held:
            await ask(session, "POST", f"{origin.url}/echo", data=data)
        await ask(session, "POST", f"{origin.url}/echo", json={"a": [1, 2, {"b": "ü"}]})
        await ask(session, "POST", f"{origin.url}/echo", json="")
        await ask(session, "POST", f"{origin.url}/echo", data=b"12345", chunked=True)

    run(test)
    assert [event.request_bytes for event in events] == [received.body_bytes for received in origin.received[-11:]]
    assert events[7].request_bytes > 1000


def test_json_counts_also_when_nobody_answers(events):
    async def test(session):
        with closed_port(HOST) as port, pytest.raises(aiohttp.ClientConnectionError):
            await ask(session, "POST", f"http://{HOST}:{port}/x", json={"a": 1})

    run(test)
    assert [(event.status, event.request_bytes) for event in events] == [(0, len('{"a": 1}'))]


def test_json_is_serialised_once_and_a_form_is_evaluated_once(origin, events):
    """Several releases fail when a FormData is called a second time."""
    serialised = []
    evaluated = []

    def dumps(value):
        serialised.append(value)
        return "[]"

    class Form(aiohttp.FormData):
        def __call__(self):
            evaluated.append(self)
            return super().__call__()

    upload = Form()
    upload.add_field("file", io.BytesIO(b"x" * 1000), filename="name.txt")

    async def test(session):
        await ask(session, "POST", f"{origin.url}/echo", json={"a": 1})
        await ask(session, "POST", f"{origin.url}/echo", data=upload)

    run(test, json_serialize=dumps)
    assert (len(serialised), len(evaluated)) == (1, 1)
    assert [event.request_bytes for event in events] == [received.body_bytes for received in origin.received[-2:]]


def test_streams_are_zero_and_read_by_the_client_alone(origin, events):
    def post(reads):
        class File(io.BytesIO):
            def read(self, size=-1):
                reads.append(size)
                return super().read(size)

        async def generated():
            for n in range(3):
                reads.append(n)
                yield b"chunk"

        async def test(session):
            await ask(session, "POST", f"{origin.url}/echo", data=generated())
            await ask(session, "POST", f"{origin.url}/echo", data=File(b"x" * 100))

        run(test)
        return reads

    with suppressed():
        without_capture = post([])
    with_capture = post([])

    assert with_capture[:4] == without_capture[:4]  # whether the file is asked for more after its end is a race
    assert [event.request_bytes for event in events] == [0, 0]


def test_a_body_object_of_any_kind_is_only_looked_at(origin, events):
    touched = []

    class Odd:
        def __getattribute__(self, name):
            touched.append(name)
            return object.__getattribute__(self, name)

        def __len__(self):
            touched.append("len")
            return 1

        def __bool__(self):
            touched.append("bool")
            return True

    async def test(session):
        with pytest.raises(Exception):  # noqa: B017, PT011 - aiohttp cannot send it either
            await ask(session, "POST", f"{origin.url}/echo", data=Odd())

    with suppressed():
        run(test)
    without_capture = list(touched)
    touched.clear()
    run(test)

    assert touched == without_capture
    assert [(event.status, event.request_bytes) for event in events] == [(0, 0)]


def test_an_answer_is_an_event_when_its_headers_are_there_and_stays_unread(origin, events):
    async def test(session):
        async with session.get(f"{origin.url}/ok") as response:
            assert [event.response_bytes for event in events] == [len(BODY)]
            assert response._body is None
            assert await response.read() == BODY
        async with session.get(f"{origin.url}/chunked") as response:
            assert [event.response_bytes for event in events] == [len(BODY), 0]
            assert b"".join([chunk async for chunk in response.content.iter_any()]) == b"".join(CHUNKS)

    run(test)


def test_the_user_gets_what_aiohttp_gives(origin, events):
    async def test(session):
        asked = session.get(f"{origin.url}/ok")
        assert isinstance(asked, aiohttp.client._BaseRequestContextManager)
        async with asked as response:
            assert type(response) is aiohttp.ClientResponse
        async with aiohttp.request("GET", f"{origin.url}/ok") as response:
            assert response.status == 200

    run(test)
    assert len(events) == 2


def test_a_websocket_is_one_event_its_handshake(events):
    async def echo(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    async def test(session):
        app = web.Application()
        app.router.add_get("/socket", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        port = runner.addresses[0][1]
        async with session.ws_connect(f"http://{HOST}:{port}/socket") as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
        await runner.cleanup()

    run(test)
    assert hops(events) == [("GET", "/socket", 101)]


def test_a_call_that_is_never_awaited_is_no_event(origin, events):
    async def test(session):
        session.get(f"{origin.url}/ok").close()

    run(test)
    assert events == []


def test_a_warning_names_the_line_that_it_names_without_us(origin):
    """aiohttp counts frames up to its caller; ours must not be one of them."""

    async def test(session):
        response = await session.get(f"{origin.url}/ok", verify_ssl=False)
        response.close()
        async with session.get(f"{origin.url}/ok", verify_ssl=False) as response:
            response.close()

    def places():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(test)
        return [(warning.filename, warning.lineno) for warning in caught if "ssl" in str(warning.message)]

    without_capture = places()
    add_sink(nothing)
    try:
        assert places() == without_capture
    finally:
        remove_sink(nothing)
    assert without_capture[0][0] == __file__


def nothing(_event):
    pass
