"""``patch_anthropic``: one event for each message, and what streams say of usage is not added up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
from typing import Any

import anthropic
import pytest

import recost
from tests.llm.answering import Style, Watched, account, accounted, check, models, tags

pytestmark = pytest.mark.usefixtures("patched")
SDK = "anthropic"

ASK: dict[str, Any] = {"model": "claude-newest", "max_tokens": 10, "messages": [{"role": "user", "content": "q"}]}
STREAM: dict[str, Any] = {**ASK, "stream": True}
USD = 0.00348
"""100 in, 600 read from the cache, 200 out."""
BEGUN_USD = 0.000495
"""Of those 200 only the first is known."""


def settings(found: Watched) -> Any:
    return {"api_key": "x", "base_url": found.url, "max_retries": 2}


def client_of(found: Watched) -> anthropic.Anthropic:
    return anthropic.Anthropic(**settings(found))


def read(client: Any) -> None:
    stream = client.messages.create(**STREAM)
    assert type(stream) is anthropic.Stream
    assert len(list(stream)) == 7


def break_off(client: Any) -> None:
    with client.messages.create(**STREAM) as stream:
        next(stream)


def forget(client: Any) -> None:
    for _piece in client.messages.create(**STREAM):
        break
    gc.collect()


def drop(client: Any) -> None:
    client.messages.create(**STREAM)
    gc.collect()


def fail_inside(client: Any, model: str) -> None:
    with pytest.raises(Exception, match=r"\w"):
        list(client.messages.create(**{**STREAM, "model": model}))


def helper_text(client: Any) -> None:
    with client.messages.stream(**ASK) as stream:
        assert "".join(stream.text_stream)


def helper_message(client: Any) -> None:
    with client.messages.stream(**ASK) as stream:
        assert stream.get_final_message().usage.output_tokens == 200


def leave_helper(client: Any) -> None:
    with client.messages.stream(**ASK) as stream:
        next(iter(stream))


def unread_helper(client: Any) -> None:
    with client.messages.stream(**ASK):
        pass


def raw_before(client: Any) -> None:
    recost.unpatch_anthropic()
    raw = client.messages.with_raw_response
    recost.patch_anthropic()
    assert raw.create(**ASK).parse().model


def streaming_response(client: Any, act: Any, arguments: Any = ASK) -> None:
    with client.messages.with_streaming_response.create(**arguments) as response:
        act(response)


def refused(client: Any) -> None:
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(**ASK)


def parse(client: Any) -> None:
    assert client.messages.parse(**ASK).content


def elsewhere(client: Any, kind: str, arguments: Any = ASK, **settings: str) -> None:
    """At a cloud, which has the model in the path."""
    try:
        of_cloud = getattr(anthropic, kind)(base_url=client.base_url, **settings)
        found = of_cloud.messages.create(**arguments)
    except (AttributeError, ImportError, TypeError):  # the last: it takes no key of its own yet
        pytest.skip("not in this version, or without its extra")
    with of_cloud:
        assert found.content if arguments is ASK else len(list(found)) == 7


def vertex(client: Any, arguments: Any = ASK) -> None:
    elsewhere(client, "AnthropicVertex", arguments, region="r", project_id="p", access_token="x")


def bedrock(client: Any) -> None:
    elsewhere(client, "AnthropicBedrock", api_key="x", aws_region="r")


def no_llm_call(client: Any) -> None:
    if hasattr(client.messages, "count_tokens"):
        client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    if hasattr(client.messages, "batches"):
        client.messages.batches.create(requests=[{"custom_id": "a", "params": ASK}])
    client.get("/v1/models", cast_to=object)


STYLES = [
    Style("messages.create", lambda c: c.messages.create(**ASK), usd=USD),
    Style("messages.create, 529 and 200", lambda c: c.messages.create(**ASK), usd=USD, statuses=(529,)),
    Style("messages.create, refused", refused, "failed", 0.0, statuses=(400,)),
    Style("messages.parse", parse, usd=USD, needs="messages.parse"),
    Style("beta.messages.create", lambda c: c.beta.messages.create(**ASK), usd=USD, needs="beta.messages"),
    Style("messages.create of a client's copy", lambda c: c.with_options(timeout=9).messages.create(**ASK), usd=USD),
    Style("messages.create of AnthropicVertex", vertex, usd=USD),
    Style("messages.create of AnthropicBedrock", bedrock, usd=USD),
    Style("stream, read to its end", read, usd=USD),
    Style("stream of AnthropicVertex, read to its end", lambda c: vertex(c, STREAM), usd=USD),
    Style("stream, left with `with`", break_off, "broken_off", BEGUN_USD),
    Style("stream, left with `break`", forget, "broken_off", BEGUN_USD),
    Style("stream, closed unread", lambda c: c.messages.create(**STREAM).close(), "closed_unread"),
    Style("stream, dropped", drop, "dropped"),
    Style("stream with an error inside", lambda c: fail_inside(c, "error"), "failed", BEGUN_USD),
    Style("stream that is cut", lambda c: fail_inside(c, "cut"), "failed", BEGUN_USD),
    Style(".stream(), text", helper_text, usd=USD),
    Style(".stream(), final message", helper_message, usd=USD),
    Style(".stream(), left", leave_helper, "broken_off", BEGUN_USD),
    Style(".stream(), closed unread", unread_helper, "closed_unread"),
    Style("with_raw_response, parsed", lambda c: c.messages.with_raw_response.create(**ASK).parse(), usd=USD),
    Style("with_raw_response, not parsed", lambda c: c.messages.with_raw_response.create(**ASK), usd=USD),
    Style("with_raw_response, made before patching", raw_before, usd=USD),
    Style("with_raw_response, stream", lambda c: list(c.messages.with_raw_response.create(**STREAM).parse()), usd=USD),
    Style("with_streaming_response, parsed", lambda c: streaming_response(c, lambda r: r.parse()), usd=USD),
    Style("with_streaming_response, iter_bytes", lambda c: streaming_response(c, lambda r: list(r.iter_bytes()))),
    Style("with_streaming_response, unread", lambda c: streaming_response(c, str), "closed_unread"),
    Style(
        "with_streaming_response, stream", lambda c: streaming_response(c, lambda r: list(r.parse()), STREAM), usd=USD
    ),
    Style("no LLM call: count_tokens, batches, GET", no_llm_call, events=0),
]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_each_way_to_call_is_one_event(style: Style, found: Watched) -> None:
    with client_of(found) as client:
        style.require(client)
        check(style, found, lambda: style.run(client))


async def async_read(client: Any) -> None:
    assert len([event async for event in await client.messages.create(**STREAM)]) == 7


async def async_break_off(client: Any) -> None:
    async with await client.messages.create(**STREAM) as stream:
        await stream.__anext__()


async def async_closed(client: Any) -> None:
    await (await client.messages.create(**STREAM)).close()


async def async_drop(client: Any) -> None:
    await client.messages.create(**STREAM)
    gc.collect()


async def async_cancelled(client: Any) -> None:
    has_begun = asyncio.Event()

    async def wait_for_more() -> None:
        async for _event in await client.messages.create(**{**STREAM, "model": "hangs"}):
            has_begun.set()

    task = asyncio.ensure_future(wait_for_more())
    await has_begun.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def async_helper(client: Any) -> None:
    async with client.messages.stream(**ASK) as stream:
        assert [text async for text in stream.text_stream]


async def async_leave_helper(client: Any) -> None:
    async with client.messages.stream(**ASK) as stream:
        async for _event in stream:
            break


async def async_raw(client: Any) -> None:
    parsed = (await client.messages.with_raw_response.create(**ASK)).parse()
    message = await parsed if inspect.isawaitable(parsed) else parsed  # newer versions
    assert message.model


async def async_streaming_response(client: Any) -> None:
    async with client.messages.with_streaming_response.create(**ASK) as response:
        assert (await response.parse()).model


ASYNC_STYLES = [
    Style("async messages.create", lambda c: c.messages.create(**ASK), usd=USD),
    Style("async beta.messages.create", lambda c: c.beta.messages.create(**ASK), usd=USD, needs="beta.messages"),
    Style("async stream, read to its end", async_read, usd=USD),
    Style("async stream, left with `async with`", async_break_off, "broken_off", BEGUN_USD),
    Style("async stream, closed unread", async_closed, "closed_unread"),
    Style("async stream, dropped", async_drop, "dropped"),
    Style("async stream, cancelled", async_cancelled, "cancelled", BEGUN_USD),
    Style("async .stream()", async_helper, usd=USD),
    Style("async .stream(), left", async_leave_helper, "broken_off", BEGUN_USD),
    Style("async with_raw_response, parsed", async_raw, usd=USD),
    Style("async with_streaming_response, parsed", async_streaming_response, usd=USD),
]


@pytest.mark.parametrize("style", ASYNC_STYLES, ids=str)
def test_each_way_to_call_asynchronously_is_one_event(style: Style, found: Watched) -> None:
    async def run() -> None:
        async with anthropic.AsyncAnthropic(**settings(found)) as client:
            await style.run(client)

    style.require(anthropic.AsyncAnthropic(**settings(found)))
    check(style, found, lambda: asyncio.run(run()))


def test_messages_are_one_account_by_the_model_that_answered() -> None:
    with accounted("anthropic") as found, client_of(found) as client:
        client.messages.create(**ASK)
        client.messages.create(**ASK, extra_body={"recost_feature_tag": "x"})
        list(client.messages.create(**STREAM))
        client.get("/v1/models", cast_to=object)
    assert account() == (3, 0, 0, round(3 * USD, 9), round(3 * USD + 0.02, 9), 4)
    assert models() == {("anthropic", "claude-sonnet-4-5")}
    assert tags() == {"default", "x"}
    assert "recost_feature_tag" not in found.sent[1]
