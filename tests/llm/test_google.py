"""``patch_google``: one event for each billed call, with thoughts and the cache in its price."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors

import recost
from recost._capture import fault_count
from tests.llm.answering import Provider, account, models, provider, tags

MODEL = "gemini-2.5-flash"
USD = 0.001334
"""1000 in, of them 800 cached, 200 out and 300 thoughts."""


@pytest.fixture(autouse=True)
def _patched() -> Iterator[None]:
    before = fault_count()
    recost.patch_google()
    yield
    recost.unpatch_google()
    assert fault_count() == before


def client_of(found: Provider) -> genai.Client:
    return genai.Client(api_key="x", http_options=genai.types.HttpOptions(base_url=found.url))


def test_content_is_one_event_plain_and_streamed() -> None:
    with provider("google") as found:
        client = client_of(found)
        with recost.feature_tag("x"):
            assert client.models.generate_content(model=MODEL, contents="q").text == "hi"
        assert len(list(client.models.generate_content_stream(model=MODEL, contents="q"))) == 2
        client.close()
    assert account() == (2, 0, 0, 2 * USD, 2 * USD, 2)
    assert models() == {("google", MODEL)}
    assert tags() == {"x", "default"}


def test_a_stream_that_is_broken_off_is_one_event_and_one_that_never_began_is_none() -> None:
    with provider("google") as found:
        client = client_of(found)
        client.models.generate_content_stream(model=MODEL, contents="q")
        pieces: Any = client.models.generate_content_stream(model=MODEL, contents="q")
        next(pieces)
        pieces.close()
        client.close()
    assert (account().calls, account().errors, account().http_calls) == (1, 0, 1)


def test_what_fails_is_one_event_and_the_exception_is_the_sdks() -> None:
    with provider("google") as found:
        client = client_of(found)
        found.statuses.append(400)
        with pytest.raises(errors.ClientError):
            client.models.generate_content(model=MODEL, contents="q")
        client.close()
    assert account() == (1, 1, 0, 0.0, 0.0, 1)


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # the SDK does that
def test_async_content_is_one_event_plain_and_streamed() -> None:
    async def run(found: Provider) -> None:
        client = client_of(found)
        await asyncio.gather(*(client.aio.models.generate_content(model=MODEL, contents="q") for _ in range(3)))
        pieces = await client.aio.models.generate_content_stream(model=MODEL, contents="q")
        assert len([piece async for piece in pieces]) == 2
        await client.aio.aclose()
        client.close()

    with provider("google") as found:
        asyncio.run(run(found))
    assert account() == (4, 0, 0, round(4 * USD, 9), round(4 * USD, 9), 4)


def test_an_embedding_does_not_say_what_it_used_and_counts_as_unpriced() -> None:
    with provider("google") as found:
        client = client_of(found)
        client.models.embed_content(model="gemini-embedding-001", contents="q")
        client.close()
    assert account() == (1, 0, 1, 0.0, 0.02, 1)
