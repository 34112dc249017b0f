"""``patch_google``: one event for each billed call, with thoughts and the cache in its price."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors
from google.oauth2.credentials import Credentials

import recost
from tests.llm.answering import Style, Watched, account, accounted, check, models, tags

MODEL = "gemini-2.5-flash"
ASK: Any = {"model": MODEL, "contents": "q"}
HANGS: Any = {**ASK, "model": "hangs"}
USD = 0.001334
"""1000 in, of them 800 cached, 200 out and 300 thoughts."""
BEGUN_USD = 0.0003
"""Of a stream that said no more than the 1000 in."""

pytestmark = [
    pytest.mark.usefixtures("patched"),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),  # the SDK's
]
SDK = "google"


@contextlib.contextmanager
def client_of(found: Watched) -> Iterator[genai.Client]:
    client = genai.Client(api_key="x", http_options=genai.types.HttpOptions(base_url=found.url))
    try:
        yield client
    finally:
        if hasattr(client, "close"):
            client.close()


def at_vertex(client: Any) -> Any:
    """The same models, with the project in the path and another kind of key."""
    options = genai.types.HttpOptions(base_url=client._api_client._http_options.base_url)
    key = Credentials("x")  # type: ignore[no-untyped-call]  # google-auth has no types
    return genai.Client(vertexai=True, project="p", location="us-central1", credentials=key, http_options=options)


def ask_vertex(client: Any) -> None:
    other = at_vertex(client)  # held until the answer is there: it closes its connections when it is dropped
    other.models.generate_content(**ASK)


def read_vertex(client: Any) -> None:
    other = at_vertex(client)
    assert len(list(other.models.generate_content_stream(**ASK))) == 2


def weather() -> str:
    """Tells the weather."""
    return "fine"


def break_off(client: Any) -> None:
    pieces = client.models.generate_content_stream(**ASK)
    next(pieces)
    pieces.close()


def forget(client: Any) -> None:
    for _piece in client.models.generate_content_stream(**ASK):
        break
    gc.collect()


def cut(client: Any) -> None:
    with pytest.raises(Exception, match=r"\w"):
        list(client.models.generate_content_stream(**{**ASK, "model": "cut"}))


def refused(client: Any) -> None:
    with pytest.raises(errors.ClientError):
        client.models.generate_content(**ASK)


def calls_a_function(client: Any) -> None:
    """The SDK calls it and asks again: two calls are billed, the user sees the second one's usage."""
    answer = client.models.generate_content(**ASK, config=genai.types.GenerateContentConfig(tools=[weather]))
    assert answer.text


def chat(client: Any) -> None:
    assert client.chats.create(model=MODEL).send_message("q").text


def count_tokens(client: Any) -> None:
    client.models.count_tokens(**ASK)


STYLES = [
    Style("generate_content", lambda c: c.models.generate_content(**ASK), usd=USD),
    Style("generate_content, refused", refused, "failed", 0.0, statuses=(400,)),
    Style("generate_content, with automatic function calling", calls_a_function, usd=USD, events=2),
    Style("chats.send_message", chat, usd=USD),
    Style("embed_content", lambda c: c.models.embed_content(model="gemini-embedding-001", contents="q")),
    Style("stream, read to its end", lambda c: list(c.models.generate_content_stream(**ASK)), usd=USD),
    Style("generate_content at Vertex", ask_vertex, usd=USD),
    Style("stream at Vertex, read to its end", read_vertex, usd=USD),
    Style("stream, closed amid it", break_off, "broken_off", BEGUN_USD),
    Style("stream, left with `break`", forget, "broken_off", BEGUN_USD),
    Style("stream that is cut", cut, "failed", BEGUN_USD),
    Style("no LLM call: count_tokens", count_tokens, events=0),
]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_each_way_to_call_is_one_event(style: Style, found: Watched) -> None:
    with client_of(found) as client:
        check(style, found, lambda: style.run(client))


async def async_read(client: Any) -> None:
    pieces = await client.aio.models.generate_content_stream(**ASK)
    assert len([piece async for piece in pieces]) == 2


async def async_at_vertex(client: Any) -> None:
    other = at_vertex(client)
    await other.aio.models.generate_content(**ASK)
    if hasattr(other.aio, "aclose"):
        await other.aio.aclose()


async def async_break_off(client: Any) -> None:
    pieces = await client.aio.models.generate_content_stream(**ASK)
    await pieces.__anext__()
    await pieces.aclose()


async def async_cancelled(client: Any) -> None:
    has_begun = asyncio.Event()

    async def wait_for_more() -> None:
        async for _piece in await client.aio.models.generate_content_stream(**HANGS):
            has_begun.set()

    task = asyncio.ensure_future(wait_for_more())
    await has_begun.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


ASYNC_STYLES = [
    Style("async generate_content", lambda c: c.aio.models.generate_content(**ASK), usd=USD),
    Style("async embed_content", lambda c: c.aio.models.embed_content(model="gemini-embedding-001", contents="q")),
    Style("async generate_content at Vertex", async_at_vertex, usd=USD),
    Style("async stream, read to its end", async_read, usd=USD),
    Style("async stream, closed amid it", async_break_off, "broken_off", BEGUN_USD),
    Style("async stream, cancelled", async_cancelled, "cancelled", BEGUN_USD),
]


@pytest.mark.parametrize("style", ASYNC_STYLES, ids=str)
def test_each_way_to_call_asynchronously_is_one_event(style: Style, found: Watched) -> None:
    async def run() -> None:
        with client_of(found) as client:
            await style.run(client)
            if hasattr(client.aio, "aclose"):
                await client.aio.aclose()

    check(style, found, lambda: asyncio.run(run()))


def test_a_tag_of_one_call_is_not_sent_and_the_callers_config_stays_as_it_is(found: Watched) -> None:
    types = genai.types
    extra = {"recost_feature_tag": "two", "labels": {"a": "b"}}
    typed = types.GenerateContentConfig(temperature=0.5, http_options=types.HttpOptions(extra_body=extra))
    plain: Any = {"http_options": {"extra_body": {"costara_feature_tag": "one"}}}
    found.events()
    with client_of(found) as client:
        client.models.generate_content(**ASK, config=plain)
        list(client.models.generate_content_stream(**ASK, config=typed))
        with recost.feature_tag("around"):
            client.models.generate_content(**ASK)
    assert [event.tag for event in found.llm_events()] == ["one", "two", "around"]
    assert "feature_tag" not in repr(found.sent[-3:])
    assert found.sent[-2]["labels"] == {"a": "b"}
    assert typed.http_options is not None
    assert typed.http_options.extra_body == extra
    assert plain == {"http_options": {"extra_body": {"costara_feature_tag": "one"}}}


def test_content_is_one_account() -> None:
    with accounted("google") as found, client_of(found) as client:
        client.models.generate_content(**ASK)
        client.models.embed_content(model="gemini-embedding-001", contents="q")
    assert account() == (2, 0, 1, USD, round(USD + 0.02, 9), 2)
    assert models() == {("google", MODEL), ("google", "gemini-embedding-001")}
    assert tags() == {"default"}
