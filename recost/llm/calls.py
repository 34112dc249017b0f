"""One LLM call of a patched SDK while it lasts, and the one event that it becomes.

Whoever finds out first that it is over, ends it: the SDK's function returned or raised, its stream ended, failed, was
closed or was dropped.  All that is kept of a response is its usage, its model and its tier.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Collection
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple, Optional

from recost import _runtime
from recost._capture.wrap import contained
from recost.event import MAX_NAME, MAX_PATH, CallEvent, Ending, LlmEvent, host_of
from recost.hosts import is_loopback
from recost.llm.aliases import SELF_HOSTED, canonical
from recost.llm.marks import Mark, current_mark, enter
from recost.llm.prices import counts, price_list
from recost.llm.usage import normalise, tier_of
from recost.providers import ProviderRegistry
from recost.session import ProviderDef

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - compared with, never bound: who connects to it, connects to this machine
ATTACHED = "_recost_llm_call"
"""Under this name an HTTP response knows the call that it belongs to, until that is over."""


class Place(NamedTuple):
    """Where an SDK sends its calls."""

    scheme: str
    netloc: str
    path: str


class LlmCall(Mark):
    """One logical call, its retries included. Any thread may end it, and so may a finalizer; a forked child may not.

    As a context manager it holds while the SDK works: HTTP calls inside are part of it, and an exception ends it.
    """

    __slots__ = (
        "_at_ns", "_attached",
        "_first_token_ns", "_has_begun", "_model", "_outer", "_pid", "_place", "_response",
        "_seen_ns", "_started_ns", "_tier", "_to_report", "_usage", "failed_inside", "hides_usage", "owner",
        "stream_number",
    )  # fmt: skip

    def __init__(self, owner: object, place: Callable[[], Place], model: object, tag: str) -> None:
        """``place`` is asked where no HTTP call was captured."""
        super().__init__(tag)
        self.owner = id(owner)
        """Which SDK client makes it."""
        self.stream_number = 0
        """How many streams were made of its response: the last one tells the end. 0: it is no stream."""
        self.hides_usage = False
        """The last piece was not asked for by the user, who must not see it."""
        self.failed_inside = False
        """The response came, and says that the call failed."""
        self._place = place
        self._model = model
        self._tier: object = None
        self._usage: Any = None
        self._response: Optional[weakref.ref[Any]] = None
        self._attached: Collection[str] = ()
        self._outer: Optional[Mark] = None
        self._has_begun = False
        self._first_token_ns = -1
        self._to_report = [True]
        self._pid = os.getpid()
        self._at_ns = time.time_ns()
        self._started_ns = self._seen_ns = time.perf_counter_ns()

    def __enter__(self) -> None:
        self._outer = current_mark()
        enter(self)

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        enter(self._outer)
        self._outer = None
        if error is not None:
            contained(self.fail, error)

    def __reduce__(self) -> tuple[Any, ...]:
        """Who pickles or copies a response gets none of this."""
        return type(None), ()

    @property
    def is_over(self) -> bool:
        return not self._to_report

    @property
    def is_stream(self) -> bool:
        return self.stream_number > 0

    def attach(self, response: Any, **standins: Any) -> None:
        """Have the SDK's ``response`` know this call, and have ``standins`` for methods, until the call is over."""
        self._attached = (ATTACHED, *standins)
        vars(response).update({ATTACHED: self, **standins})
        self._response = weakref.ref(response)

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

    def handed_on(self) -> None:
        """The user gets a piece of the stream."""
        self._has_begun = True
        self._seen_ns = time.perf_counter_ns()

    def returned(self) -> None:
        """The SDK has handed the call over to the user, who reads on or does not."""
        self.is_open = False
        self._seen_ns = time.perf_counter_ns()

    def complete(self) -> None:
        """All that was to come is here."""
        self._finish("failed" if self.failed_inside else "completed", time.perf_counter_ns())

    def fail(self, error: BaseException) -> None:
        """``error`` ended it; what is no ``Exception`` (a cancellation, Ctrl-C) is nobody's failure."""
        self._finish("failed" if isinstance(error, Exception) else "cancelled", time.perf_counter_ns())

    def close(self) -> None:
        """The user wants no more of it."""
        self._finish("broken_off" if self._has_begun else "closed_unread", time.perf_counter_ns())

    def drop(self) -> None:
        """Nobody has it any more, who knows since when: it lasted until something of it was last seen."""
        self._finish("broken_off" if self._has_begun else "dropped", self._seen_ns)

    def _finish(self, ending: Ending, ended_ns: int) -> None:
        """Report the call, unless it was, or is the parent's."""
        self.is_open = False
        try:
            self._to_report.pop()  # one step, for other threads and finalizers: who finds nothing came second
        except IndexError:
            return
        if os.getpid() != self._pid:
            return
        self._detach()
        runtime = _runtime.current
        carrier = self.carrier
        if runtime is None:
            return
        place = self._place() if carrier is None else Place(carrier.scheme, carrier.netloc, carrier.path)
        if carrier is None and (self.is_excluded or runtime.excludes(self._as_call(place))):
            return
        event = self._to_event(_seller(tuple(runtime.settings.custom_providers), place), ending, ended_ns)
        if carrier is not None:
            event.method, event.netloc, event.path = carrier.method, carrier.netloc, carrier.path
        _runtime.record_llm(event)

    def _detach(self) -> None:
        """Leave the response as the SDK made it."""
        response = None if self._response is None else self._response()
        if response is not None:
            for name in self._attached:
                vars(response).pop(name, None)

    def _to_event(self, provider: str, ending: Ending, ended_ns: int) -> LlmEvent:
        model = self._model if isinstance(self._model, str) else "unknown"
        usage = normalise(self._usage)
        counts.odd += usage.odd
        # What failed without a usage is not billed; a server of one's own costs nothing, whatever it says.
        if not usage.known and (ending == "failed" or provider == SELF_HOSTED):
            cost, is_priced = 0, True
        else:
            found = price_list().cost(provider, model, usage, tier_of(self._tier))
            cost, is_priced = found.pico, found.is_priced
        return LlmEvent(
            at_ns=self._at_ns,
            duration_ns=ended_ns - self._started_ns,
            provider=provider,
            model=model[:MAX_NAME].encode("utf-8", "replace").decode(),
            prompt_tokens=usage.input,
            completion_tokens=usage.output,
            cached_tokens=usage.cached,
            cost_pico_usd=cost,
            is_priced=is_priced,
            error=ending in {"failed", "cancelled"},
            tag=self.tag,
            first_token_ns=self._first_token_ns,
            ending=ending,
        )

    def _as_call(self, place: Place) -> CallEvent:
        scheme, netloc, path = place
        return CallEvent(self._at_ns, 0, "POST", scheme, netloc, path[:MAX_PATH], 0, 0, 0)


@lru_cache(maxsize=256)
def _seller(custom: tuple[ProviderDef, ...], place: Place) -> str:
    """Who is paid: by the rules, the user's own first; this machine is nobody; else the host's own name."""
    host = host_of(place.netloc)
    found = ProviderRegistry(custom).match_parts(place.netloc, place.path)
    if found is not None:
        return canonical(found.provider)
    return SELF_HOSTED if host == ANY_ADDRESS or is_loopback(host) else host[:MAX_NAME] or SELF_HOSTED
