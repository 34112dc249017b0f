"""``patch_openai``: one event for each logical call, whichever way it is made and ends, and the SDK behaves as ever."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import gc
import operator
from collections.abc import Iterator
from typing import Any

import openai
import pytest

import recost
from recost.llm.openai import OPENAI
from tests.llm.answering import Style, Watched, account, accounted, check, models, tags, watched

MESSAGES: Any = [{"role": "user", "content": "q"}]
CHAT: Any = {"model": "gpt-4o", "messages": MESSAGES}
STREAM: Any = {**CHAT, "stream": True}
ASKED: Any = {**STREAM, "stream_options": {"include_usage": True}}
INPUT: Any = {"model": "gpt-4o", "input": "q"}
USD = 0.0065
"""1000 in, of them 800 cached, 500 out."""
ESTIMATE_USD = 0.02


@pytest.fixture(scope="module")
def found() -> Iterator[Watched]:
    with watched("openai") as made:
        yield made


@pytest.fixture(autouse=True)
def _patched() -> Iterator[None]:
    recost.patch_openai()
    yield
    recost.unpatch_openai()


def settings(found: Watched) -> Any:
    return {"api_key": "x", "base_url": f"{found.url}/v1", "max_retries": 2}


def client_of(found: Watched) -> openai.OpenAI:
    return openai.OpenAI(**settings(found))


def parse(client: Any) -> None:
    chat = client.chat.completions if hasattr(client.chat.completions, "parse") else client.beta.chat.completions
    assert chat.parse(**CHAT).choices[0].message.content


def helper(client: Any) -> Any:
    chat = client.chat.completions if hasattr(client.chat.completions, "stream") else client.beta.chat.completions
    return chat.stream(**CHAT, stream_options={"include_usage": True})


def stream_helper(client: Any) -> None:
    with helper(client) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices


def leave_helper(client: Any) -> None:
    with helper(client) as stream:
        next(iter(stream))


def break_off(client: Any) -> None:
    with client.chat.completions.create(**ASKED) as stream:
        next(stream)


def drop(client: Any) -> None:
    client.chat.completions.create(**ASKED)
    gc.collect()


def forget(client: Any) -> None:
    for _piece in client.chat.completions.create(**ASKED):
        break
    gc.collect()


def fail_inside(client: Any, model: str, error: Any) -> None:
    with pytest.raises(error):
        list(client.chat.completions.create(**{**ASKED, "model": model}))


def raw_before(client: Any) -> None:
    recost.unpatch_openai()
    raw = client.chat.completions.with_raw_response
    recost.patch_openai()
    assert raw.create(**CHAT).parse().model


def raw_parsed_twice(client: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(**CHAT)
    assert raw.parse().model == raw.parse().model
    assert copy.copy(raw.http_response)


def raw_stream(client: Any) -> None:
    assert len(list(client.chat.completions.with_raw_response.create(**ASKED).parse())) == 3


def streaming_response(client: Any, act: Any, arguments: Any = CHAT) -> None:
    with client.chat.completions.with_streaming_response.create(**arguments) as response:
        act(response)
    assert response.http_response.is_closed


def read_then_parse(response: Any) -> None:
    assert response.read()
    assert response.parse().model


def list_of(name: str) -> Any:
    return lambda response: list(getattr(response, name)())


def module_client(client: Any) -> None:
    openai.api_key, openai.base_url = "x", str(client.base_url)
    try:
        openai.chat.completions.create(**CHAT)
    finally:
        openai.api_key = openai.base_url = None
        openai._reset_client()


def azure(client: Any) -> None:
    endpoint = str(client.base_url).rpartition("/v1")[0]
    with openai.AzureOpenAI(api_key="x", api_version="2024-06-01", azure_endpoint=endpoint) as of_azure:
        of_azure.chat.completions.create(**CHAT)
        assert of_azure.base_url.path == "/openai/"


def refused(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**CHAT)
    assert raised.value.status_code == 400


def times_out(client: Any) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.05, max_retries=0).chat.completions.create(**{**CHAT, "model": "hangs"})


def responses_stream(client: Any, model: str) -> None:
    with client.responses.create(**{**INPUT, "model": model}, stream=True) as events:
        assert list(events)


def responses_helper(client: Any) -> None:
    with client.responses.stream(**INPUT) as stream:
        stream.until_done()
        assert stream.get_final_response().output


def no_llm_call(client: Any) -> None:
    client.models.list()
    client.get("/responses/r", cast_to=object)


def create(arguments: Any) -> Any:
    return lambda client: client.chat.completions.create(**arguments)


STYLES = [
    Style("create", create(CHAT), usd=USD),
    Style("create, then 429 and 500 before 200", create(CHAT), usd=USD, statuses=(429, 500)),
    Style("create, refused", refused, "failed", 0.0, statuses=(400,)),
    Style("create, timed out", times_out, "failed", 0.0),
    Style("create of the module's own client", module_client, usd=USD),
    Style("create of AzureOpenAI", azure, usd=USD),
    Style("parse", parse, usd=USD),
    Style("completions", lambda c: c.completions.create(model="x", prompt="q"), usd=0.0025),
    Style("embeddings", lambda c: c.embeddings.create(model="text-embedding-3-small", input="q"), usd=0.00000016),
    Style("stream, usage not asked for", lambda c: list(create(STREAM)(c))),
    Style("stream, read to its end", lambda c: list(create(ASKED)(c)), usd=USD),
    Style("stream, left with `with`", break_off, "broken_off"),
    Style("stream, left with `break`", forget, "broken_off"),
    Style("stream, closed unread", lambda c: create(ASKED)(c).close(), "closed_unread"),
    Style("stream, dropped", drop, "dropped"),
    Style("stream with an error inside", lambda c: fail_inside(c, "error", openai.APIError), "failed", 0.0),
    Style("stream that is cut", lambda c: fail_inside(c, "cut", Exception), "failed", 0.0),
    Style(".stream()", stream_helper, usd=USD),
    Style(".stream(), left", leave_helper, "broken_off"),
    Style("with_raw_response, parsed", raw_parsed_twice, usd=USD),
    Style("with_raw_response, not parsed", lambda c: c.chat.completions.with_raw_response.create(**CHAT), usd=USD),
    Style("with_raw_response, made before patching", raw_before, usd=USD),
    Style("with_raw_response, stream", raw_stream, usd=USD),
    Style("with_streaming_response, parsed", lambda c: streaming_response(c, lambda r: r.parse()), usd=USD),
    Style("with_streaming_response, read", lambda c: streaming_response(c, read_then_parse), usd=USD),
    Style("with_streaming_response, iter_bytes", lambda c: streaming_response(c, list_of("iter_bytes"))),
    Style("with_streaming_response, unread", lambda c: streaming_response(c, str), "closed_unread"),
    Style(
        "with_streaming_response, stream",
        lambda c: streaming_response(c, lambda r: list(r.parse()), ASKED),
        usd=USD,
    ),
    Style("responses", lambda c: c.responses.create(**INPUT), usd=USD, needs="responses"),
    Style(
        "responses, incomplete",
        lambda c: c.responses.create(**{**INPUT, "model": "incomplete"}),
        usd=USD,
        needs="responses",
    ),
    Style(
        "responses, failed",
        lambda c: c.responses.create(**{**INPUT, "model": "failed"}),
        "failed",
        USD,
        needs="responses",
    ),
    Style("responses, stream", lambda c: responses_stream(c, "gpt-4o"), usd=USD, needs="responses"),
    Style("responses, stream that fails", lambda c: responses_stream(c, "failed"), "failed", USD, needs="responses"),
    Style("responses .stream()", responses_helper, usd=USD, needs="responses.stream"),
    Style("no LLM call: models.list, GET of a stored response", no_llm_call, events=0),
]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_each_way_to_call_is_one_event(style: Style, found: Watched) -> None:
    with client_of(found) as client:
        style.require(client)
        check(style, found, lambda: style.run(client))


async def async_parse(client: Any) -> None:
    chat = client.chat.completions if hasattr(client.chat.completions, "parse") else client.beta.chat.completions
    assert (await chat.parse(**CHAT)).choices


async def async_stream(client: Any) -> None:
    stream = await client.chat.completions.create(**ASKED)
    assert type(stream) is openai.AsyncStream
    assert len([piece async for piece in stream]) == 3


async def async_break_off(client: Any) -> None:
    async with await client.chat.completions.create(**ASKED) as stream:
        await stream.__anext__()


async def async_closed(client: Any) -> None:
    await (await client.chat.completions.create(**ASKED)).close()


async def async_drop(client: Any) -> None:
    await client.chat.completions.create(**ASKED)
    gc.collect()


async def async_cut(client: Any) -> None:
    with pytest.raises(Exception, match=r"\w"):
        async for _piece in await client.chat.completions.create(**{**ASKED, "model": "cut"}):
            pass


async def async_cancelled(client: Any) -> None:
    """The first piece is here, the second is waited for."""
    has_begun = asyncio.Event()

    async def read() -> None:
        async for _piece in await client.chat.completions.create(**{**ASKED, "model": "hangs"}):
            has_begun.set()

    await cancel(asyncio.ensure_future(read()), has_begun.wait())


async def async_cancelled_early(client: Any) -> None:
    task = asyncio.ensure_future(client.chat.completions.create(**{**CHAT, "model": "hangs"}))
    await cancel(task, asyncio.sleep(0.05))


async def cancel(task: Any, ready: Any) -> None:
    await ready
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def async_helper(client: Any) -> None:
    async with helper(client) as stream:
        async for _event in stream:
            pass


async def async_leave_helper(client: Any) -> None:
    async with helper(client) as stream:
        async for _event in stream:
            break


async def async_raw(client: Any) -> None:
    raw = await client.chat.completions.with_raw_response.create(**CHAT)
    assert raw.parse().model


async def async_streaming_response(client: Any, act: str) -> None:
    async with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        if act == "parse":
            assert (await response.parse()).model
        elif act == "iter_bytes":
            assert [piece async for piece in response.iter_bytes()]


ASYNC_STYLES = [
    Style("async create", create(CHAT), usd=USD),
    Style("async create, cancelled", async_cancelled_early, "cancelled"),
    Style("async parse", async_parse, usd=USD),
    Style("async embeddings", lambda c: c.embeddings.create(model="text-embedding-3-small", input="q"), usd=0.00000016),
    Style("async stream, read to its end", async_stream, usd=USD),
    Style("async stream, left with `async with`", async_break_off, "broken_off"),
    Style("async stream, closed unread", async_closed, "closed_unread"),
    Style("async stream, dropped", async_drop, "dropped"),
    Style("async stream that is cut", async_cut, "failed", 0.0),
    Style("async stream, cancelled", async_cancelled, "cancelled"),
    Style("async .stream()", async_helper, usd=USD),
    Style("async .stream(), left", async_leave_helper, "broken_off"),
    Style("async with_raw_response, parsed", async_raw, usd=USD),
    Style("async with_streaming_response, parsed", lambda c: async_streaming_response(c, "parse"), usd=USD),
    Style("async with_streaming_response, iter_bytes", lambda c: async_streaming_response(c, "iter_bytes")),
    Style("async with_streaming_response, unread", lambda c: async_streaming_response(c, ""), "closed_unread"),
    Style("async responses", lambda c: c.responses.create(**INPUT), usd=USD, needs="responses"),
]


@pytest.mark.parametrize("style", ASYNC_STYLES, ids=str)
def test_each_way_to_call_asynchronously_is_one_event(style: Style, found: Watched) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(**settings(found)) as client:
            await style.run(client)

    style.require(openai.AsyncOpenAI(**settings(found)))
    check(style, found, lambda: asyncio.run(run()))


def test_what_the_user_gets_is_the_sdks_own(found: Watched) -> None:
    arguments = {**ASKED, "extra_body": {"recost_feature_tag": "one", "other": 1}}
    given = copy.deepcopy(arguments)
    with client_of(found) as client:
        stream = client.chat.completions.create(**arguments)
        assert type(stream) is openai.Stream
        assert isinstance(stream.response.is_closed, bool)
        response = stream.response
        assert len(list(stream)) == 3
        names = {name for name in vars(response) if "recost" in name or name == "close"}
    assert arguments == given
    assert not names, "nothing of ours is left on the response"


def test_a_fault_of_ours_leaves_the_call_unharmed(found: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    for broken in ("begin", "end", "saw", "follow"):
        with monkeypatch.context() as patch, client_of(found) as client:
            faults = recost._capture.wrap.faults
            patch.setattr(OPENAI, broken, functools.partial(operator.truediv, 1))
            assert client.chat.completions.create(**CHAT).choices
            assert len(list(client.chat.completions.create(**ASKED))) == 3
            recost._capture.wrap.faults = faults
    gc.collect()


def test_usage_is_asked_for_and_hidden_only_where_the_caller_left_it_open(found: Watched) -> None:
    recost.patch_openai(inject_stream_usage=True)
    found.events()
    with client_of(found) as client:
        assert len(list(client.chat.completions.create(**STREAM))) == 2
        assert len(list(client.chat.completions.create(**ASKED))) == 3
        assert len(list(client.chat.completions.create(**STREAM, stream_options={"include_usage": False}))) == 2
        client.chat.completions.create(**CHAT)
        raw = client.chat.completions.with_raw_response.create(**STREAM)
        assert len(list(raw.parse())) == 2
        with client.chat.completions.with_streaming_response.create(**STREAM) as response:
            assert b"".join(response.iter_bytes()).count(b"data:") == 3
    assert [event.is_priced for event in found.llm_events()] == [True, True, False, True, False, False]
    options = [body.get("stream_options") for body in found.sent[-6:]]
    assert options == [{"include_usage": True}] * 2 + [{"include_usage": False}, None, None, None]


def test_another_tools_patch_on_the_subclass_is_seen_and_stays(found: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    recost.unpatch_openai()
    seen = []
    plain = openai.OpenAI.request

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(1)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(openai.OpenAI, "request", theirs, raising=False)
    recost.patch_openai()
    found.events()
    with client_of(found) as client:
        client.chat.completions.create(**CHAT)
    assert len(found.llm_events()) == 1
    recost.unpatch_openai()
    assert vars(openai.OpenAI)["request"] is theirs
    assert seen == [1]


def test_a_tag_of_one_call_is_not_sent_and_coroutines_keep_theirs_apart(found: Watched) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(**settings(found)) as client:

            async def one(tag: str) -> None:
                await client.chat.completions.create(**CHAT, extra_body={"recost_feature_tag": tag})

            await asyncio.gather(*map(one, "abc"))

    found.events()
    asyncio.run(run())
    with client_of(found) as client:
        with recost.feature_tag("around"):
            client.chat.completions.create(**CHAT, extra_body={"costara_feature_tag": "two", "other": 1})
            client.chat.completions.create(**CHAT)
        recost.patch_openai("by default")
        client.chat.completions.create(**CHAT)
    assert sorted(event.tag for event in found.llm_events()) == ["a", "around", "b", "by default", "c", "two"]
    assert [set(body) - set(CHAT) for body in found.sent[-6:]] == [set(), set(), set(), {"other"}, set(), set()]


def test_mixed_calls_are_one_account() -> None:
    """Priced, unpriced, failed, retried, plain HTTP: ``metrics`` is the whole truth."""
    with accounted("openai") as found, client_of(found) as client:
        client.chat.completions.create(**CHAT)
        list(client.chat.completions.create(**STREAM))
        found.statuses[:] = [429, 200, 400]
        client.chat.completions.create(**CHAT)
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**CHAT)
        client.models.list()
    found_account = account()
    assert found_account == (4, 1, 1, 2 * USD, round(2 * USD + 2 * ESTIMATE_USD, 9), 6)
    assert models() == {("openai", "gpt-4o-2024-08-06"), ("openai", "gpt-4o")}
    assert tags() == {"default"}


def test_a_server_of_ones_own_is_free_and_an_excluded_one_is_left_out() -> None:
    with accounted("openai", custom_providers=[], exclude_loopback=False) as found, client_of(found) as client:
        client.chat.completions.create(**CHAT)
    assert account() == (1, 0, 0, 0.0, 0.0, 1)
    assert models() == {("self_hosted", "gpt-4o-2024-08-06")}
    with watched("openai") as found, recost.init(exclude_hosts=["127.0.0.2"], collector="external"):
        with client_of(found) as client:
            client.chat.completions.create(**CHAT)
        assert not found.events()


def test_unpatched_nothing_of_ours_is_left(found: Watched) -> None:
    base = openai.OpenAI.__mro__[1]
    recost.patch_openai()
    recost.unpatch_openai()
    before = vars(base)["request"]
    assert not hasattr(before, "__wrapped__")
    recost.patch_openai()
    assert vars(base)["request"].__wrapped__ is before
