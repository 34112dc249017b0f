"""``patch_anthropic``: one event for each message, and what streams say of usage is not added up."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

import recost
from recost._capture import fault_count
from tests.llm.answering import Provider, account, models, provider, tags

ASK: dict[str, Any] = {
    "model": "claude-newest",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "q"}],
}
USD = 0.00348
"""100 in, 600 read from the cache, 200 out."""


@pytest.fixture(autouse=True)
def _patched() -> Iterator[None]:
    before = fault_count()
    recost.patch_anthropic()
    yield
    recost.unpatch_anthropic()
    assert fault_count() == before


def client_of(found: Provider, **settings: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="x", base_url=found.url, **{"max_retries": 0, **settings})


def test_every_way_to_get_a_message_is_one_event() -> None:
    with provider("anthropic") as found, client_of(found) as client:
        assert client.messages.create(**ASK).content
        client.messages.with_raw_response.create(**ASK).parse()
        with client.messages.with_streaming_response.create(**ASK) as response:
            response.parse()
        client.beta.messages.create(**ASK)
        client.messages.create(**ASK, extra_body={"recost_feature_tag": "x"})
        client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    found_account = account()
    assert found_account[:4] == (5, 0, 0, round(5 * USD, 9))
    assert found_account.total_usd == round(5 * USD + 0.02, 9), "counting tokens is no LLM call"
    assert models() == {("anthropic", "claude-sonnet-4-5")}
    assert tags() == {"default", "x"}
    assert "recost_feature_tag" not in found.sent[4]


def test_streams_are_one_event_each_and_their_usage_is_not_added_up() -> None:
    with provider("anthropic") as found, client_of(found) as client:
        stream = client.messages.create(**ASK, stream=True)
        assert type(stream) is anthropic.Stream
        assert len(list(stream)) == 6
        with client.messages.stream(**ASK) as helper:
            assert "".join(helper.text_stream) == "hi"
        with client.messages.stream(**ASK) as helper:
            assert helper.get_final_message().usage.output_tokens == 200
    assert account() == (3, 0, 0, round(3 * USD, 9), round(3 * USD, 9), 3)


def test_a_stream_that_is_broken_off_is_one_event_with_what_was_known() -> None:
    """The input is billed, and said at once."""
    with provider("anthropic") as found, client_of(found) as client:
        with client.messages.create(**ASK, stream=True) as stream:
            next(stream)
        client.messages.create(**ASK, stream=True).close()
        dropped = client.messages.create(**ASK, stream=True)
        next(dropped)
        del dropped, stream
        gc.collect()
    assert (account().calls, account().unpriced) == (3, 1)


def test_errors_and_retries_are_one_event_each() -> None:
    with provider("anthropic") as found, client_of(found, max_retries=1) as client:
        found.statuses.extend([529, 200, 400])
        client.messages.create(**ASK)
        with pytest.raises(anthropic.BadRequestError):
            client.messages.create(**ASK)
    assert account() == (2, 1, 0, USD, USD, 3)


def test_async_messages_and_streams_are_one_event_each() -> None:
    async def run(found: Provider) -> None:
        async with anthropic.AsyncAnthropic(api_key="x", base_url=found.url, max_retries=0) as client:
            await asyncio.gather(*(client.messages.create(**ASK) for _ in range(3)))
            async for _ in await client.messages.create(**ASK, stream=True):
                pass
            async with client.messages.stream(**ASK) as helper:
                assert [text async for text in helper.text_stream] == ["hi"]

    with provider("anthropic") as found:
        asyncio.run(run(found))
    assert account() == (5, 0, 0, round(5 * USD, 9), round(5 * USD, 9), 5)
