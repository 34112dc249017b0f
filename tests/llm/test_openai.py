"""``patch_openai``: one event for each logical call, whichever way it is made and ends."""

from __future__ import annotations

import copy
import gc
import sys
from typing import Any

import openai
import pytest

import recost
from tests.llm.answering import Style, Watched, check
from tests.llm.openai_calls import ASKED, CHAT, INPUT, STREAM, USD, client_of, create, helper

pytestmark = pytest.mark.usefixtures("patched")
SDK = "openai"


def parse(client: Any) -> None:
    chat = client.chat.completions if hasattr(client.chat.completions, "parse") else client.beta.chat.completions
    assert chat.parse(**CHAT).choices[0].message.content


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


class Overriding(openai.OpenAI):
    """A user's own, there before the hooks: they are below its ``request``, too."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        return super().request(*args, **kwargs)


def subclass(client: Any, *, is_newer: bool) -> None:
    kind = type("Newer", (Overriding,), {"request": Overriding.request}) if is_newer else Overriding
    with kind(api_key="x", base_url=client.base_url) as mine:
        mine.chat.completions.create(**CHAT)


def http_library(client: Any) -> Any:
    """httpx or httpx2, whichever this version sends through."""
    kind = next(kind for kind in type(client._client).__mro__ if kind.__name__ == "Client")
    return sys.modules[kind.__module__.partition(".")[0]]


def own_http_client(client: Any) -> None:
    http_client = http_library(client).Client()
    with openai.OpenAI(api_key="x", base_url=client.base_url, http_client=http_client) as mine:
        mine.chat.completions.create(**CHAT)


def post(client: Any) -> None:
    response = client.post("chat/completions", cast_to=http_library(client).Response, body=CHAT)
    assert response.json()["choices"]


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
    client.files.create(file=b"{}", purpose="batch")
    client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id="f")


STYLES = [
    Style("create", create(CHAT), usd=USD),
    Style("create, then 429 and 500 before 200", create(CHAT), usd=USD, statuses=(429, 500)),
    Style("create, refused", refused, "failed", 0.0, statuses=(400,)),
    Style("create, timed out", times_out, "failed", 0.0),
    Style("create of the module's own client", module_client, usd=USD),
    Style("create of AzureOpenAI", azure, usd=USD),
    Style("create of a client's copy", lambda c: create(CHAT)(c.with_options(timeout=9).copy()), usd=USD),
    Style("create of a subclass with its own `request`", lambda c: subclass(c, is_newer=False), usd=USD),
    Style("create of a subclass, made after patching", lambda c: subclass(c, is_newer=True), usd=USD),
    Style("create, with an `http_client` of one's own", own_http_client, usd=USD),
    Style("`client.post`, read as it came", post, usd=USD),
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
    Style("responses.compact", lambda c: c.responses.compact(**INPUT), usd=USD, needs="responses.compact"),
    Style("responses .stream()", responses_helper, usd=USD, needs="responses.stream"),
    Style("no LLM call: models.list, GET of a stored response, files, batches", no_llm_call, events=0),
]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_each_way_to_call_is_one_event(style: Style, found: Watched) -> None:
    with client_of(found) as client:
        style.require(client)
        check(style, found, lambda: style.run(client))
