"""``patch_openai`` with the asynchronous client: one event for each logical call, whichever way it is made and ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any

import openai
import pytest

from tests.llm.answering import Style, Watched, check
from tests.llm.openai_calls import ASKED, CHAT, INPUT, USD, create, helper, settings

pytestmark = pytest.mark.usefixtures("patched")
SDK = "openai"


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
    """Its request is on the way."""
    has_begun = asyncio.Event()

    async def note(_request: object) -> None:
        has_begun.set()

    client._client.event_hooks = {"request": [note]}
    task = asyncio.ensure_future(client.chat.completions.create(**{**CHAT, "model": "hangs"}))
    await cancel(task, has_begun.wait())


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


async def async_azure(client: Any) -> None:
    endpoint = str(client.base_url).rpartition("/v1")[0]
    async with openai.AsyncAzureOpenAI(api_key="x", api_version="2024-06-01", azure_endpoint=endpoint) as of_azure:
        await of_azure.chat.completions.create(**CHAT)


async def async_on_aiohttp(client: Any) -> None:
    try:
        http_client = openai.DefaultAioHttpClient()
    except (AttributeError, RuntimeError):
        pytest.skip("not in this version, or without its extra")
    async with openai.AsyncOpenAI(api_key="x", base_url=client.base_url, http_client=http_client) as on_aiohttp:
        stream = await on_aiohttp.chat.completions.create(**ASKED)
        assert len([piece async for piece in stream]) == 3


async def async_streaming_response(client: Any, act: str) -> None:
    async with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        if act == "parse":
            assert (await response.parse()).model
        elif act == "iter_bytes":
            assert [piece async for piece in response.iter_bytes()]


ASYNC_STYLES = [
    Style("async create", create(CHAT), usd=USD),
    Style("async create of AzureOpenAI", async_azure, usd=USD),
    Style("async stream, read to its end, over aiohttp", async_on_aiohttp, usd=USD),
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
