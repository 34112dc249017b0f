"""One LLM call of a patched SDK while it lasts, and the one event that it becomes.

Whoever finds out first that it is over, ends it: the SDK's function returned or raised, its stream ended, failed, was
closed or was dropped.  All that is kept of a response is its usage, its model and its tier.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, NamedTuple, Optional

from recost import _runtime
from recost._capture.wrap import contained
from recost.event import MAX_NAME, MAX_PATH, CallEvent, Ending, LlmEvent
from recost.llm.aliases import SELF_HOSTED
from recost.llm.marks import Mark, current_mark, enter
from recost.llm.prices import counts, price_list
from recost.llm.quick import cached_of
from recost.llm.sellers import sellers_by
from recost.llm.usage import normalise, tier_of
from recost.ring.sentinel import Sentinel

ATTACHED = "_recost_llm_call"
"""Under this name an HTTP response knows the call that it belongs to, until that is over."""
_NOBODYS = b"\0"
"""The sentinel of calls that begin where nothing records."""


class Place(NamedTuple):
    """Where an SDK sends its calls."""

    scheme: str
    netloc: str
    path: str


class LlmCall(Mark):
    """One logical call, its retries included. Any thread may end it, and so may a finalizer; a forked child may not.

    One that begins where nothing records is not open: nothing is part of it, and it is not reported.

    As a context manager it holds while the SDK works: HTTP calls inside are part of it, and an exception ends it.
    """

    stream_number = 0
    """How many streams were made of its response: the last one tells the end. 0: it is no stream."""
    hides_usage = False
    """The last piece was not asked for by the user, who must not see it."""
    failed_inside = False
    """The response came, and says that the call failed."""
    is_over = False
    """It has ended, and is reported by whoever found out first."""
    _tier: object = None
    _usage: Any = None
    _response: Optional[weakref.ref[Any]] = None
    _attached: Collection[str] = ()
    _outer: Optional[Mark] = None
    _has_begun = False
    _first_token_ns = -1

    def __init__(self, owner: object, place: Callable[[Any], Place], model: object, tag: str) -> None:
        """``place``, asked where no HTTP call was captured, is where ``owner`` sends it."""
        self.tag = tag
        self.owner: Any = owner
        """The SDK client that makes it; None once it is over."""
        self._place = place
        self._model = model
        self._to_report = [True]
        runtime = _runtime.current
        if runtime is None:
            self.is_open = False
        self._ours: Sentinel = _NOBODYS if runtime is None else runtime.here().ours
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
    def is_stream(self) -> bool:
        return self.stream_number > 0

    @property
    def awaits_token(self) -> bool:
        """It is a stream of which no piece of the answer has come."""
        return self.stream_number > 0 and self._first_token_ns < 0

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
        self.is_open, self.is_over = False, True
        try:
            self._to_report.pop()  # one step, for other threads and finalizers: who finds nothing came second
        except IndexError:
            return
        if self._response is not None:
            self._detach(self._response())
        owner, self.owner = self.owner, None  # contexts that inherited this call may outlive it by far
        if not self._ours[0]:
            return
        runtime, carrier = _runtime.current, self.carrier
        if runtime is None:
            return
        sellers = sellers_by(runtime.settings.custom_providers)
        if carrier is None:
            place = self._place(owner)
            if not self.is_excluded and not runtime.excludes(self._as_call(place)):
                _runtime.record_llm(self._to_event(sellers.of(place.netloc, place.path), ending, ended_ns))
            return
        event = self._to_event(sellers.of(carrier.netloc, carrier.path), ending, ended_ns)
        event.method, event.netloc, event.path = carrier.method, carrier.netloc, carrier.path
        _runtime.record_llm(event)

    def _detach(self, response: Any) -> None:
        """Leave the response as the SDK made it."""
        if response is not None:
            for name in self._attached:
                vars(response).pop(name, None)

    def _to_event(self, provider: str, ending: Ending, ended_ns: int) -> LlmEvent:
        model = _name_of(self._model)
        tokens_in, tokens_out, cached, cost, is_priced = self._reckon(provider, model, ending)
        return LlmEvent(  # in the order of its fields: by name it takes twice as long
            self._at_ns,
            ended_ns - self._started_ns,
            provider,
            model,
            tokens_in,
            tokens_out,
            cached,
            cost,
            is_priced,
            ending in {"failed", "cancelled"},
            self.tag,
            self._first_token_ns,
            ending=ending,
        )

    def _reckon(self, provider: str, model: str, ending: Ending) -> tuple[int, int, int, int, bool]:
        """Tokens in, out and cached; pico-dollars, and whether they are known."""
        prices, said, tier = price_list(), self._usage, tier_of(self._tier)
        if not tier and type(said) is dict:  # nearly always it is that simple
            cost = prices.quick_cost(provider, model, said)
            if cost is not None:
                return said["prompt_tokens"], said["completion_tokens"], cached_of(said), cost, True
        usage = normalise(said)
        counts.odd += usage.odd
        # What failed without a usage is not billed; a server of one's own costs nothing, whatever it says.
        if not usage.known and (ending == "failed" or provider == SELF_HOSTED):
            return usage.input, usage.output, usage.cached, 0, True
        found = prices.cost(provider, model, usage, tier)
        return usage.input, usage.output, usage.cached, found.pico, found.is_priced

    def _as_call(self, place: Place) -> CallEvent:
        scheme, netloc, path = place
        return CallEvent(self._at_ns, 0, "POST", scheme, netloc, path[:MAX_PATH], 0, 0, 0)


def _name_of(model: object) -> str:
    if not isinstance(model, str):
        return "unknown"
    return model if len(model) <= MAX_NAME and model.isascii() else model[:MAX_NAME].encode("utf-8", "replace").decode()
