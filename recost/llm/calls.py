"""One LLM call of a patched SDK while it lasts, and the one event that it becomes.

Whoever finds out first that it is over, ends it: the SDK's function returned or raised, its stream ended, failed, was
closed or was dropped.  All that is kept of a response is its usage, its model and its tier.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any, NamedTuple

from recost import _runtime
from recost.event import MAX_NAME, MAX_PATH, CallEvent, LlmEvent, host_of
from recost.llm.aliases import SELF_HOSTED, canonical
from recost.llm.marks import Mark
from recost.llm.prices import counts, price_list
from recost.llm.usage import normalise, tier_of
from recost.providers import ProviderRegistry
from recost.session import ProviderDef

LOOPBACK = frozenset({"localhost", "::1", "0.0.0.0"})  # noqa: S104 - compared with, never bound


class Place(NamedTuple):
    """Where an SDK sends its calls."""

    scheme: str
    netloc: str
    path: str


class LlmCall(Mark):
    """One logical call, its retries included. ``finish`` may come from any thread, and from a finalizer."""

    __slots__ = (
        "_at_ns", "_first_token_ns", "_is_over", "_model", "_place", "_started_ns", "_tier", "_usage", "hides_usage",
        "is_stream", "owner",
    )  # fmt: skip

    def __init__(self, owner: object, place: Place, model: object, tag: str) -> None:
        super().__init__(tag)
        self.owner = id(owner)
        """Which SDK client makes it."""
        self.is_stream = False
        self.hides_usage = False
        """The last piece was not asked for by the user, who must not see it."""
        self._place = place
        self._model = model
        self._tier: object = None
        self._usage: Any = None
        self._first_token_ns = -1
        self._is_over: list[bool] = []
        self._at_ns = time.time_ns()
        self._started_ns = time.perf_counter_ns()

    @property
    def is_over(self) -> bool:
        return bool(self._is_over)

    def read(self, usage: object, model: object, tier: object) -> None:
        """Note what a response, or a piece of one, says. What it does not say stays as it was."""
        self._usage = self._usage if usage is None else usage
        self._model = model or self._model
        self._tier = tier or self._tier

    def add_usage(self, usage: dict[str, Any]) -> None:
        """What a later piece says of usage is said over again, not on top."""
        before = self._usage if isinstance(self._usage, dict) else {}
        self._usage = {**before, **{name: value for name, value in usage.items() if value is not None}}

    def token(self) -> None:
        """A piece of the answer is here."""
        if self._first_token_ns < 0:
            self._first_token_ns = time.perf_counter_ns() - self._started_ns

    def finish(self, *, failed: bool = False) -> None:
        """Report the call, unless it was."""
        self.is_open = False
        self._is_over.append(True)  # one step for other threads and finalizers: who finds more came second
        if len(self._is_over) > 1:
            return
        runtime = _runtime.current
        carrier = self.carrier
        if runtime is None or (carrier is None and (self.is_excluded or runtime.excludes(self._as_call()))):
            return
        event = self._to_event(_seller(tuple(runtime.settings.custom_providers), self._place), failed=failed)
        if carrier is not None:
            event.method, event.netloc, event.path = carrier.method, carrier.netloc, carrier.path
        _runtime.record_llm(event)

    def finish_failed(self) -> None:
        self.finish(failed=True)

    def _to_event(self, provider: str, *, failed: bool) -> LlmEvent:
        model = self._model if isinstance(self._model, str) else "unknown"
        usage = normalise(self._usage)
        counts.odd += usage.odd
        # What failed without a usage is not billed; a server of one's own costs nothing, whatever it says.
        if not usage.known and (failed or provider == SELF_HOSTED):
            cost, is_priced = 0, True
        else:
            found = price_list().cost(provider, model, usage, tier_of(self._tier))
            cost, is_priced = found.pico, found.is_priced
        return LlmEvent(
            at_ns=self._at_ns,
            duration_ns=time.perf_counter_ns() - self._started_ns,
            provider=provider,
            model=model[:MAX_NAME].encode("utf-8", "replace").decode(),
            prompt_tokens=usage.input,
            completion_tokens=usage.output,
            cached_tokens=usage.cached,
            cost_pico_usd=cost,
            is_priced=is_priced,
            error=failed,
            tag=self.tag,
            first_token_ns=self._first_token_ns,
        )

    def _as_call(self) -> CallEvent:
        scheme, netloc, path = self._place
        return CallEvent(self._at_ns, 0, "POST", scheme, netloc, path[:MAX_PATH], 0, 0, 0)


@lru_cache(maxsize=256)
def _seller(custom: tuple[ProviderDef, ...], place: Place) -> str:
    """Who is paid: by the rules, the user's own first; this machine is nobody; else the host's own name."""
    host = host_of(place.netloc)
    found = ProviderRegistry(custom).match_parts(place.netloc, place.path)
    if found is not None:
        return canonical(found.provider)
    return SELF_HOSTED if host in LOOPBACK or host.startswith("127.") else host[:MAX_NAME] or SELF_HOSTED
