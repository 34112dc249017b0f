"""What the hooks in an SDK cost the thread that calls it, and what a price and a tracked call do."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import Any, Callable
from unittest import mock

import openai
from openai.types.chat import ChatCompletion

import recost
from benchmarks.measure import Effort, cpu_us, interleaved, median
from benchmarks.place import place, wait_for_heartbeat
from benchmarks.rows import Row, compare, figure
from benchmarks.traffic import an_event
from recost import _runtime

TITLE = "LLM calls: CPU of the calling thread, the SDK's own work included"
CALLS = 5
WARM_UP = 5
"""Calls after hooks were put in or taken out: the interpreter forgets what it knew of these classes."""
BLOCK = 100
"""Few enough for the ring not to be full before the collector looks."""
RING_BYTES = 1 << 24
REPETITIONS = 200
HOT = 500
LIMIT_S = 6.0
USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
DETAILED = {**USAGE, "prompt_tokens_details": {"cached_tokens": 800}}
ASKED: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say this is a test."}]}
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A test."}, "finish_reason": "stop"}],
    "usage": DETAILED,
}

Step = Callable[[], object]


def measure(effort: Effort) -> Iterator[Row]:
    with place(), recost.init(ring_bytes=RING_BYTES), _client() as client:
        _start_collector()
        try:
            yield _hooks(client, effort)
            yield _hooks_alone(client, effort)
        finally:
            recost.unpatch_openai()
        yield from _alone(effort)


def _hooks(client: openai.OpenAI, effort: Effort) -> Row:
    """One call is captured in both variants: the difference is what is known of its cost."""
    step = functools.partial(client.chat.completions.create, **ASKED)
    variants = {switch.__name__: functools.partial(_after, switch, step) for switch in (_unpatched, _patched)}
    interleaved(variants, 2)
    found = interleaved(variants, effort.times(REPETITIONS, least=3), effort.seconds(LIMIT_S))
    plain, hooked = found["_unpatched"], found["_patched"]
    added_us = median([one - other for one, other in zip(hooked, plain)])
    note = f"the hooks, the price and the event add {figure(added_us)} us"
    return Row("openai, patched", median(plain) + added_us, "us", "captured, not patched", median(plain), note=note)


def _hooks_alone(client: openai.OpenAI, effort: Effort) -> Row:
    """In place of the SDK something that does nothing: no code in between drives ours out of the processor's caches."""
    base: Any = importlib.import_module("openai._base_client")
    answer = ChatCompletion.model_validate(ANSWER)
    event = an_event()

    def process(_client: Any, **_said: Any) -> ChatCompletion:
        return answer

    def request(self: Any, _cast_to: Any, _options: Any) -> Any:
        _runtime.record(event)
        return self._process_response_data(data=ANSWER, response=None)

    options = base.FinalRequestOptions(method="post", url="/chat/completions", json_data=ASKED)
    step = functools.partial(_request, client, options)
    variants = {switch.__name__: functools.partial(_after, switch, step, BLOCK) for switch in (_unpatched, _patched)}
    with mock.patch.object(base.SyncAPIClient, "request", request):
        with mock.patch.object(base.BaseClient, "_process_response_data", process):
            found = interleaved(variants, effort.times(REPETITIONS, least=3), effort.seconds(LIMIT_S))
            _unpatched()
    return compare("the hooks alone, hot loop", found["_patched"], "us", "not patched", found["_unpatched"])


def _alone(effort: Effort) -> Iterator[Row]:
    steps: dict[str, Step] = {
        "an empty function": _nothing,
        "estimate_cost": lambda: recost.estimate_cost("openai", "gpt-4o", USAGE),
        "estimate_cost, with details": lambda: recost.estimate_cost("openai", "gpt-4o", DETAILED),
        "track": lambda: recost.track("openai", "gpt-4o", 1000, 500, 0.0075, 830.0),
    }
    variants = {name: functools.partial(cpu_us, step, HOT) for name, step in steps.items()}
    found = interleaved(variants, effort.times(REPETITIONS, least=3), effort.seconds(LIMIT_S))
    for name in list(steps)[1:]:
        yield compare(f"{name}, hot loop", found[name], "us", "an empty function", found["an empty function"])


def _client() -> openai.OpenAI:
    """One that is answered without a network, by the httpx that this version of the SDK uses."""
    base = next(kind for kind in openai.DefaultHttpxClient.__mro__ if kind.__module__.startswith("httpx"))
    httpx: Any = importlib.import_module(base.__module__.partition(".")[0])
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=ANSWER))
    return openai.OpenAI(api_key="x", http_client=openai.DefaultHttpxClient(transport=transport))


def _start_collector() -> None:
    runtime = _runtime.current
    assert runtime is not None
    runtime.record(an_event())
    assert runtime.ring is not None
    wait_for_heartbeat(runtime.ring)


def _after(switch: Step, step: Step, calls: int = CALLS) -> float:
    switch()
    for _ in range(WARM_UP):
        step()
    return cpu_us(step, calls)


def _request(client: Any, options: Any) -> Any:
    return client.request(ChatCompletion, options)


def _unpatched() -> None:
    recost.unpatch_openai()


def _patched() -> None:
    recost.patch_openai()


def _nothing() -> None:
    pass
