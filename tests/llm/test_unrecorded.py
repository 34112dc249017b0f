"""LLM calls that begin where nothing records."""

from __future__ import annotations

import contextvars
import weakref

from recost.llm.calls import LlmCall, Place


class Client:
    """An SDK's client, or a response of it."""


def test_a_call_that_nobody_records_lets_go_of_the_client_and_of_the_response() -> None:
    """Contexts that were copied during the call, as each task copies one, may live for as long as the program."""
    client, response = Client(), Client()
    is_there = weakref.ref(client)
    call = LlmCall(client, lambda _client: Place("https", "api.openai.com", "/v1"), "gpt-4o", "")
    with call:
        inherited = contextvars.copy_context()
    call.attach(response, parse=lambda: None)

    call.complete()
    del call, client

    assert not vars(response)
    assert is_there() is None
    assert inherited is not None
