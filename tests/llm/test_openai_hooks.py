"""``patch_openai`` leaves the SDK as it is, and its calls become one account."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import gc
import operator
from typing import Any

import openai
import pytest

import recost
from recost import _runtime
from recost.event import CallEvent, LlmEvent
from recost.llm.openai import OPENAI
from tests.llm.answering import Watched, account, accounted, models, tags, watched
from tests.llm.openai_calls import ASKED, CHAT, ESTIMATE_USD, STREAM, USD, client_of, settings

pytestmark = pytest.mark.usefixtures("patched")
SDK = "openai"


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


def test_where_nothing_records_tags_are_not_sent_either_and_streams_stay_as_they_are(
    found: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    recost.patch_openai(inject_stream_usage=True)
    with monkeypatch.context() as patch, client_of(found) as client:
        patch.setattr(_runtime, "current", None)
        client.chat.completions.create(**CHAT, extra_body={"recost_feature_tag": "one"})
        assert len(list(client.chat.completions.create(**STREAM))) == 2
    assert [set(body) - set(CHAT) for body in found.sent[-2:]] == [set(), {"stream"}]
    assert not found.events()


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


def test_threads_and_coroutines_keep_their_tags_and_their_http_calls_apart(found: Watched) -> None:
    """Threads take the context of the coroutine that starts them with them."""

    async def run(client: Any) -> None:
        async with openai.AsyncOpenAI(**settings(found)) as asynchronous:

            async def both(name: str) -> None:
                with recost.feature_tag(name):
                    await asyncio.gather(
                        asyncio.get_running_loop().run_in_executor(
                            None, contextvars.copy_context().run, functools.partial(one_call, client)
                        ),
                        asynchronous.chat.completions.create(**CHAT),
                    )

            await asyncio.gather(*map(both, "abc"))

    def one_call(client: Any) -> None:
        assert len(list(client.chat.completions.create(**ASKED))) == 3

    found.events()
    with client_of(found) as client:
        asyncio.run(run(client))
    events = found.events()
    assert sorted((type(event).__name__, event.tag) for event in events) == sorted(
        (kind, tag) for kind in ("CallEvent", "LlmEvent") for tag in "aabbcc"
    )
    assert all(event.is_llm for event in events if isinstance(event, CallEvent))
    assert [event.cost_pico_usd for event in events if isinstance(event, LlmEvent)] == [round(USD * 1e12)] * 6


def test_patching_twice_counts_once_and_unpatching_amid_a_stream_loses_no_call(found: Watched) -> None:
    recost.patch_openai()
    found.events()
    with client_of(found) as client:
        client.chat.completions.create(**CHAT)
        assert len(found.llm_events()) == 1
        begun, unread = (client.chat.completions.create(**ASKED) for _ in range(2))
        next(begun)
        recost.unpatch_openai()
        assert len(list(begun)) == 2
        unread.close()
        client.chat.completions.create(**CHAT)
    events = found.llm_events()
    assert [(event.ending, event.is_priced) for event in events] == [("completed", False), ("closed_unread", False)]


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
