"""``patch_openai``: one event for each logical call, whichever way it is made, and the SDK behaves as ever."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import openai
import pytest

import recost
from recost._capture import fault_count
from tests.llm.answering import Provider, account, models, provider, tags

MESSAGES: Any = [{"role": "user", "content": "q"}]
USD = 0.0065
"""1000 in, of them 800 cached, 500 out."""
ESTIMATE_USD = 0.02


@pytest.fixture
def patched() -> Iterator[None]:
    before = fault_count()
    recost.patch_openai(inject_stream_usage=True)
    yield
    recost.unpatch_openai()
    assert fault_count() == before


def client_of(found: Provider, **settings: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="x", base_url=f"{found.url}/v1", **{"max_retries": 0, **settings})


def chat(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o", messages=MESSAGES, **more)


def test_create_is_one_event_at_its_true_cost_and_its_http_call_has_no_estimate(patched: None) -> None:
    with provider("openai") as found, client_of(found) as client:
        assert chat(client).choices[0].message.content == '{"a": 1}'
    assert account() == (1, 0, 0, USD, USD, 1)
    assert models() == {("openai", "gpt-4o-2024-08-06")}


def test_every_way_to_get_one_answer_is_one_event(patched: None) -> None:
    with provider("openai") as found, client_of(found) as client:
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
        assert raw.parse().model == raw.parse().model
        client.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
        with client.chat.completions.with_streaming_response.create(model="gpt-4o", messages=MESSAGES) as response:
            response.parse()
        client.responses.create(model="gpt-4o", input="q")
        client.responses.create(model="incomplete", input="q")
        client.beta.chat.completions.parse(model="gpt-4o", messages=MESSAGES)
        client.models.list()
    assert account() == (6, 0, 0, 6 * USD, round(6 * USD + ESTIMATE_USD, 9), 7), "a list of models is no LLM call"


def test_every_stream_that_is_read_is_one_event_and_stays_the_sdks_own(patched: None) -> None:
    with provider("openai") as found, client_of(found) as client:
        stream = chat(client, stream=True)
        assert type(stream) is openai.Stream
        assert len(list(stream)) == 2, "the chunk that was asked for by us is hidden"
        assert len(list(chat(client, stream=True, stream_options={"include_usage": True}))) == 3
        with client.responses.create(model="gpt-4o", input="q", stream=True) as events:
            assert len(list(events)) == 2
        list(client.responses.create(model="failed", input="q", stream=True))
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES, stream=True)
        assert len(list(raw.parse())) == 2
    assert account() == (5, 0, 0, 5 * USD, 5 * USD, 5)


def test_a_stream_that_does_not_come_to_its_end_is_one_event_that_is_not_priced(patched: None) -> None:
    """Broken off, closed unread, dropped: the estimate stands for what is not known."""
    with provider("openai") as found, client_of(found) as client:
        with chat(client, stream=True) as broken:
            next(broken)
        chat(client, stream=True).close()
        dropped = chat(client, stream=True)
        next(dropped)
        del dropped, broken
        chat(client, stream=True)
        gc.collect()
        list(chat(client, stream=True, stream_options={"include_usage": False}))
    assert account() == (5, 0, 5, 0.0, 5 * ESTIMATE_USD, 5)


def test_what_fails_is_one_event_and_the_exception_is_the_sdks(patched: None) -> None:
    with provider("openai") as found, client_of(found) as client:
        found.statuses.append(400)
        with pytest.raises(openai.BadRequestError):
            chat(client)
        with pytest.raises(openai.APIError, match="stand-in"):
            list(client.chat.completions.create(model="fails", messages=MESSAGES, stream=True))
    assert account()[:3] == (2, 2, 0)


def test_retries_are_one_event(patched: None) -> None:
    with provider("openai") as found, client_of(found, max_retries=2) as client:
        found.statuses.extend([429, 500])
        chat(client)
    assert account() == (1, 0, 0, USD, USD, 3)


def test_a_tag_is_not_sent_and_the_callers_dict_stays_as_it_is(patched: None) -> None:
    extra = {"recost_feature_tag": "one", "other": 1}
    with provider("openai") as found, client_of(found) as client:
        with recost.feature_tag("around"):
            chat(client, extra_body=extra)
            chat(client, extra_body={"costara_feature_tag": "two"})
            chat(client)
        recost.patch_openai("by default")
        chat(client)
    assert extra == {"recost_feature_tag": "one", "other": 1}
    assert [set(body) - {"messages", "model"} for body in found.sent] == [{"other"}, set(), set(), set()]
    assert tags() == {"one", "two", "around", "by default"}


def test_coroutines_keep_their_tags_apart_and_a_cancelled_call_is_one_event(patched: None) -> None:
    async def run(found: Provider) -> None:
        async with openai.AsyncOpenAI(api_key="x", base_url=f"{found.url}/v1", max_retries=0) as client:

            async def one(tag: str) -> None:
                body = {"recost_feature_tag": tag}
                await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, extra_body=body)

            await asyncio.gather(*map(one, "abc"))
            stream = await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
            assert len([piece async for piece in stream]) == 2
            task = asyncio.ensure_future(one("cancelled"))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    with provider("openai") as found:
        asyncio.run(run(found))
    assert tags() == {"a", "b", "c", "default", "cancelled"}
    assert (account().calls, account().errors, account().usd) == (5, 1, 4 * USD)


def test_embeddings_are_priced_by_their_input(patched: None) -> None:
    with provider("openai") as found, client_of(found) as client:
        client.embeddings.create(model="text-embedding-3-small", input="q")
    assert account() == (1, 0, 0, 0.00000016, 0.00000016, 1)


def test_a_server_of_ones_own_is_free_and_no_gap_in_the_prices(patched: None) -> None:
    with (
        provider("openai") as found,
        recost.init(project_id="shop", collector="thread", exclude_loopback=False),
        client_of(found) as client,
    ):
        chat(client)
        assert recost.flush(30)
    assert account() == (1, 0, 0, 0.0, 0.0, 1)
    assert models() == {("self_hosted", "gpt-4o-2024-08-06")}


def test_calls_to_an_excluded_host_are_left_out(patched: None) -> None:
    with provider("openai") as found, recost.init(project_id="shop", collector="thread", exclude_hosts=["127.0.0.2"]):
        with client_of(found) as client:
            chat(client)
        assert recost.flush(30)
    assert account() == (0, 0, 0, 0.0, 0.0, 0)


def test_unpatched_nothing_of_ours_is_left() -> None:
    before = vars(openai.OpenAI.__mro__[1])["request"]
    recost.patch_openai()
    recost.patch_openai()
    recost.unpatch_openai()
    assert vars(openai.OpenAI.__mro__[1])["request"] is before
    with provider("openai") as found, client_of(found) as client:
        chat(client)
    assert account() == (0, 0, 0, 0.0, ESTIMATE_USD, 1)
