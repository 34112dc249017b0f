"""The wrapper that every captured function gets, for functions and for coroutines, written once.

A call begins when the user's program calls the client and ends when the client returns or raises, with whatever it
raises: for a stream that is when the headers are there.  The wrapper reads the clock, hands on arguments, result and
exception untouched, and has the client's own file (``Client`` below) say what the call was.

One event per call of the user means: a call inside a call is left out when it is the same call again, a layer below
(httpx on aiohttp) or a try later (urllib3's retries).  What the user's own code does while a client runs it (an event
hook, an auth flow that uses another client, a body that is generated) is a call of its own.  Two looks decide:

1.  A ContextVar says that some call is open.  Not a thread-local: coroutines share a thread, and a thread-local would
    hide every call that starts while another one is being awaited.  It holds the call and not True: a task or thread
    that was started during a call inherits the context and may outlive it.
2.  Only then the stack is asked, which cannot be inherited: a call is part of the open one only if that one's wrapper
    is among its callers, so of the same task, thread and greenlet.  The outer call's client decides the rest.

Only a client that may run on another captured one pays for the variable (``carries``).  One that merely calls itself
again for another try finds itself on the stack when it reads such a call (``calls_around``).

All of it runs in caches that the user's program has just filled with other things, so a frame, an object or an
attribute more costs more than what it computes.

State: ``_outer`` (each context for itself), ``_sinks`` and ``_emit`` (``set_sinks``), ``faults`` (``_count_fault``).
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from time import perf_counter_ns, time_ns
from types import CodeType, FrameType
from typing import Any, Callable, NamedTuple, Optional, Protocol, cast

from recost.event import MAX_PATH, CallEvent

Function = Callable[..., Any]
Sink = Callable[[CallEvent], None]
Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]
Target = tuple[str, str, str, str]
"""method, scheme, netloc, path. Two calls are the same request when the first three are equal."""

Finding = tuple[str, str, str, str, int, int, int]
"""method, scheme, netloc, path, status, request bytes, response bytes."""

faults = 0
"""Faults of ours that were contained since the process began; a forked child goes on from its parent's."""


class Switch:
    """Whether a wrapper captures. A wrapper that cannot be taken away (someone wrapped it) is switched off."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = False


class Client(Protocol):
    """What a client's file says of it. Its functions look at objects, they never call, iterate or change them."""

    @property
    def TARGETS(self) -> Sequence[tuple[str, Wrap]]:  # noqa: N802 - a constant
        """The functions to wrap, as names in the client's module, and the kind of wrapper for each."""

    @property
    def carries(self) -> Optional[Carries]:
        """Whether a call inside one of this client's is part of it. None: nothing that is called inside ever is."""

    def target(self, args: Args, kwargs: Kwargs) -> Target: ...

    def read_call(self, args: Args, kwargs: Kwargs, response: Any, error: Optional[BaseException]) -> Optional[Finding]:
        """What a finished call was: ``response`` or ``error`` is None. None: it is none to tell of."""


Wrap = Callable[[Function, Client, Switch], Function]


class Inner(NamedTuple):
    """A call that begins while another one is open."""

    client: Client
    args: Args
    kwargs: Kwargs


Carries = Callable[[Inner, list[FrameType]], bool]
"""Whether the inner call is part of the outer one; the frames lead from the inner call up to the outer."""


class Call:
    """One call of a client that carries others, while it lasts. Contexts that inherit it may outlive it."""

    __slots__ = ("carries", "is_open", "outer")

    def __init__(self, carries: Optional[Carries]) -> None:
        self.carries = carries
        self.is_open = True
        self.outer = _outer.get()
        _outer.set(self)

    def close(self) -> None:
        """It stays in the contexts that inherited it, so it lets go of the one around it."""
        self.is_open = False
        outer, self.outer = self.outer, None
        if outer is not None and outer.is_open:
            _outer.set(outer)


_outer: ContextVar[Optional[Call]] = ContextVar("recost_outer_call", default=None)
_current = _outer.get
_sinks: tuple[Sink, ...] = ()


def wrap_function(original: Function, client: Client, switch: Switch) -> Function:
    carries = client.carries

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        outer = _current()
        if not switch.on or (outer is not None and outer.is_open and _is_part(outer, client, args, kwargs)):
            return original(*args, **kwargs)
        call = None if carries is None else Call(carries)
        at_ns, started_ns = time_ns(), perf_counter_ns()
        try:
            response = original(*args, **kwargs)
        except BaseException as error:
            _finish(client, call, args, kwargs, at_ns, started_ns, None, error)
            raise
        _finish(client, call, args, kwargs, at_ns, started_ns, response, None)
        return response

    return _not_counted(wrapper)


def wrap_coroutine(original: Function, client: Client, switch: Switch) -> Function:
    carries = client.carries

    @functools.wraps(original)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        outer = _current()
        if not switch.on or (outer is not None and outer.is_open and _is_part(outer, client, args, kwargs)):
            return await original(*args, **kwargs)
        call = None if carries is None else Call(carries)
        at_ns, started_ns = time_ns(), perf_counter_ns()
        try:
            response = await original(*args, **kwargs)
        except BaseException as error:
            _finish(client, call, args, kwargs, at_ns, started_ns, None, error)
            raise
        _finish(client, call, args, kwargs, at_ns, started_ns, response, None)
        return response

    return _not_counted(wrapper)


def _finish(  # noqa: PLR0913, PLR0917 - all that a wrapper knows; an object to hold it would be made for each call
    client: Client,
    call: Optional[Call],
    args: Args,
    kwargs: Kwargs,
    at_ns: int,
    started_ns: int,
    response: Any,
    error: Optional[BaseException],
) -> None:
    """Report a finished call. A fault of ours ends here, as in ``contained``."""
    duration_ns = perf_counter_ns() - started_ns
    if call is not None:
        call.close()
    try:
        found = client.read_call(args, kwargs, response, error)
        if found is None:
            return
        method, scheme, netloc, path, status, sent, received = found
        if netloc:
            _emit(CallEvent(at_ns, duration_ns, method, scheme, netloc, path[:MAX_PATH], status, sent, received))
    except Exception:  # noqa: BLE001 - a user's call must not fail because of us
        _count_fault()


def contained(step: Function, *arguments: Any) -> Any:
    """``step(*arguments)``; None, counted, when it fails: a fault of ours ends here."""
    try:
        return step(*arguments)
    except Exception:  # noqa: BLE001 - a user's call must not fail because of us
        _count_fault()
        return None


def _count_fault() -> None:
    global faults  # noqa: PLW0603 - the counter is this module's
    faults += 1


@contextlib.contextmanager
def suppressed() -> Iterator[None]:
    """Calls made inside, and by what is started inside, are not captured: recost's own traffic."""
    outer = _outer.get()
    _outer.set(_SUPPRESSED)
    try:
        yield
    finally:
        _outer.set(outer)


def set_sinks(sinks: tuple[Sink, ...]) -> None:
    """Where events go from now on. A single sink, the usual case, is called without a detour."""
    global _sinks, _emit  # noqa: PLW0603 - this module's state; the caller holds the lock
    _sinks = sinks
    _emit = sinks[0] if len(sinks) == 1 else _emit_to_all


def sinks() -> tuple[Sink, ...]:
    return _sinks


def _emit_to_all(event: CallEvent) -> None:
    for sink in _sinks:
        contained(sink, event)


_emit: Sink = _emit_to_all


def _is_part(outer: Call, client: Client, args: Args, kwargs: Kwargs) -> bool:
    return outer is _SUPPRESSED or bool(contained(_ask_outer, outer, Inner(client, args, kwargs)))


def _ask_outer(outer: Call, inner: Inner) -> bool:
    frames = _frames_inside(outer)
    if frames is None:
        _outer.set(None)  # inherited: it means nothing here, and the next call need not ask again
        return False
    carries = outer.carries
    return carries is not None and carries(inner, frames)


def calls_around() -> list[Args]:
    """The arguments of the captured calls that are under way on this stack, innermost first. Looks at each frame."""
    found: list[Args] = []
    frame: Optional[FrameType] = sys._getframe(1)  # noqa: SLF001 - inspect.currentframe() is the same, behind an import
    while frame is not None:
        if frame.f_globals is _GLOBALS and frame.f_code.co_name == "wrapper":
            found.append(frame.f_locals["args"])
        frame = frame.f_back
    return found


def _frames_inside(outer: Call) -> Optional[list[FrameType]]:
    """Our callers, innermost first, up to the wrapper of ``outer``; None when that is not among them."""
    frames: list[FrameType] = []
    frame: Optional[FrameType] = sys._getframe(1)  # noqa: SLF001 - inspect.currentframe() is the same, behind an import
    while frame is not None:
        if frame.f_globals is not _GLOBALS:
            frames.append(frame)
        elif frame.f_locals.get("call") is outer:
            return frames
        frame = frame.f_back
    return None


def _not_counted(wrapper: Any) -> Function:
    """``wrapper`` with its code under a name by which ``warnings`` leaves its frames out of a ``stacklevel``.

    aiohttp's warnings about an argument name the line of the user's that gave it, counting frames; with one more they
    would name a line of aiohttp, and a filter on the user's module would not match.  CPython skips files with both of
    these words in their name.  ``traceback`` and so ``logging`` still show our source line: they find it through the
    module's loader.  What the interpreter itself prints of an uncaught exception has our frame without it.
    """
    code: CodeType = wrapper.__code__
    wrapper.__code__ = code.replace(co_filename=f"{code.co_filename} (like importlib._bootstrap)")
    return cast("Function", wrapper)


_GLOBALS = globals()
_SUPPRESSED = Call.__new__(Call)
_SUPPRESSED.is_open = True
