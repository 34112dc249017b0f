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

State: ``_outer`` (each context for itself), ``_sinks`` and ``_emit`` (``set_sinks``), ``faults`` (``contained``).
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

from recost.event import CallEvent

Function = Callable[..., Any]
Sink = Callable[[CallEvent], None]
Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]
Target = tuple[str, str, str, str]
"""method, scheme, netloc, path. Two calls are the same request when the first three are equal."""

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

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
    def carries(self) -> Optional[Callable[[Call, Inner, list[FrameType]], bool]]:
        """Whether the inner call is part of the outer one, a call of this client; the frames lead from the inner
        call up to the outer. None: nothing that is called inside ever is.
        """

    def target(self, args: Args, kwargs: Kwargs) -> Target: ...

    def read_call(
        self, call: Call, duration_ns: int, response: Any, error: Optional[BaseException]
    ) -> Optional[CallEvent]:
        """The event for a finished call: ``response`` or ``error`` is None. None: no call that names a host."""


Wrap = Callable[[Function, Client, Switch], Function]


class Inner(NamedTuple):
    """A call that begins while another one is open."""

    client: Client
    args: Args
    kwargs: Kwargs


class Call:
    """One call of the user while it lasts."""

    __slots__ = ("args", "at_ns", "client", "is_open", "kwargs", "outer", "started_ns")

    def __init__(self, client: Client, args: Args, kwargs: Kwargs) -> None:
        self.client = client
        self.args = args
        self.kwargs = kwargs
        self.is_open = True
        self.outer: Optional[Call] = None
        if client.carries is not None:
            self.outer = _outer.get()
            _outer.set(self)
        self.at_ns = time_ns()
        self.started_ns = perf_counter_ns()

    def finish(self, response: Any, error: Optional[BaseException]) -> None:
        """Report this call. It stays in the contexts that inherited it, so it lets go of all it holds."""
        duration_ns = perf_counter_ns() - self.started_ns
        self.is_open = False
        outer, self.outer = self.outer, None
        if outer is not None and outer.is_open:
            _outer.set(outer)
        try:
            event = self.client.read_call(self, duration_ns, response, error)
        finally:
            self.args, self.kwargs = (), {}
        if event is not None and event.netloc:
            _emit(event)


_outer: ContextVar[Optional[Call]] = ContextVar("recost_outer_call", default=None)
_sinks: tuple[Sink, ...] = ()


def wrap_function(original: Function, client: Client, switch: Switch) -> Function:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        outer = _outer.get()
        if not switch.on or (outer is not None and outer.is_open and _is_part(outer, client, args, kwargs)):
            return original(*args, **kwargs)
        call = Call(client, args, kwargs)
        try:
            response = original(*args, **kwargs)
        except BaseException as error:
            contained(call.finish, None, error)
            raise
        contained(call.finish, response, None)
        return response

    return _not_counted(wrapper)


def wrap_coroutine(original: Function, client: Client, switch: Switch) -> Function:
    @functools.wraps(original)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        outer = _outer.get()
        if not switch.on or (outer is not None and outer.is_open and _is_part(outer, client, args, kwargs)):
            return await original(*args, **kwargs)
        call = Call(client, args, kwargs)
        try:
            response = await original(*args, **kwargs)
        except BaseException as error:
            contained(call.finish, None, error)
            raise
        contained(call.finish, response, None)
        return response

    return _not_counted(wrapper)


def contained(step: Function, *arguments: Any) -> Any:
    """``step(*arguments)``; None, counted, when it fails. The one place where a fault of ours ends."""
    try:
        return step(*arguments)
    except Exception:  # noqa: BLE001 - a user's call must not fail because of us
        global faults  # noqa: PLW0603 - the counter is this module's
        faults += 1
        return None


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


def body_bytes(body: object) -> int:
    """The size of a body that is held whole, as bytes or text. Anything else is a stream: 0, and left alone."""
    if body is None:
        return 0
    kind = type(body)  # isinstance() would ask body.__class__, and a lazy object evaluates itself to answer
    if issubclass(kind, (bytes, bytearray)):
        return len(cast("bytes", body))
    if issubclass(kind, str):
        text = cast("str", body)
        return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return cast("memoryview", body).nbytes if issubclass(kind, memoryview) else 0


def length_bytes(value: Optional[str]) -> int:
    """What a Content-Length says; 0 when there is none, or nonsense."""
    return int(value) if value is not None and value.isdecimal() and len(value) < 19 else 0


def netloc_of(scheme: str, host: str, port: Optional[int]) -> str:
    if ":" in host:
        host = f"[{host}]"
    return host if port is None or port == DEFAULT_PORTS.get(scheme) else f"{host}:{port}"


def argument(args: Args, kwargs: Kwargs, position: int, name: str) -> Any:
    return args[position] if len(args) > position else kwargs.get(name)


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
    carries = outer.client.carries
    return carries is not None and carries(outer, inner, frames)


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
    these words in their name.  Tracebacks still show our source: they find it through the module's loader.
    """
    code: CodeType = wrapper.__code__
    wrapper.__code__ = code.replace(co_filename=f"{code.co_filename} (like importlib._bootstrap)")
    return cast("Function", wrapper)


_GLOBALS = globals()
_SUPPRESSED = Call.__new__(Call)
_SUPPRESSED.is_open = True
