"""What a call is for: the feature that the program names, else the route or task that runs.

Both are contextvars, so each thread, coroutine and request has its own; neither is looked at before a call is captured.

``with`` blocks in one context need not end in the order opposite to that in which they began: generators take turns in
it.  And a block may end in another context than it began in, where a token means nothing and resetting it raises:
frameworks run the halves of a generator in different threads.  So what is entered is a chain in the context itself,
each end removes its own link wherever that is, and one that finds none has nothing to do.  ``feature_tag`` keeps
nothing: any number of threads and tasks use one instance at the same time.

State: ``_feature`` (feature_tag), ``origin`` (the integrations in ``recost.frameworks``).
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Generator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Callable, NamedTuple, Optional, TypeVar, cast

from recost.event import MAX_TAG

Origin = Callable[[], Optional[str]]
"""Names the route template or task that runs, never a raw path; None when it has none."""

Function = TypeVar("Function", bound=Callable[..., Any])


class Use(NamedTuple):
    """One ``feature_tag`` in force, and those around it."""

    tag: str
    by: Optional[feature_tag]
    outer: Optional[Use] = None


origin: ContextVar[Optional[Origin]] = ContextVar("recost_origin", default=None)
"""Set by an integration at the start of a request or task; read, when ``route_tags`` is on, by a captured call."""

_feature: ContextVar[Optional[Use]] = ContextVar("recost_feature_tag", default=None)

current_use = _feature.get
"""The innermost ``feature_tag`` here; None outside of any. For the hot path: a look-up and no more."""


def current_feature() -> str:
    """What ``feature_tag`` says here; empty outside of any."""
    use = _feature.get()
    return "" if use is None else use.tag


def current_origin() -> str:
    """The route or task that runs here; empty without one, or when it cannot be told."""
    tell = origin.get()
    if tell is None:
        return ""
    try:
        return clean(tell() or "")
    except Exception:  # noqa: BLE001 - a framework's scope in a shape that is new; the call must not suffer
        return ""


def tag_here(*, or_route: bool) -> str:
    """The tag of a call that is made here."""
    return current_feature() or (current_origin() if or_route else "")


def clean(text: str) -> str:
    """``text`` as a tag: without space around it, not too long, and possible to encode."""
    return text.strip()[:MAX_TAG].encode("utf-8", "replace").decode()


class feature_tag:  # noqa: N801 - read as a statement: with recost.feature_tag("checkout")
    """Name the feature that the calls inside are for: ``with``, ``async with``, or a decorator of any function.

    The innermost counts, and an empty one ends an outer one.  More than 100 characters are cut.  Threads that are
    started inside begin without it, tasks with it.  A decorated generator has the tag while its own body runs, not
    while its consumer's does between two values.  A function that only returns something to be awaited is over before
    that runs: decorate the coroutine function.  ``TypeError`` when ``tag`` is no string, or the function none.
    """

    def __init__(self, tag: str) -> None:
        if not isinstance(tag, str):
            raise TypeError(f"feature_tag: want a string such as 'checkout', got {type(tag).__name__}")
        self._tag = clean(tag)

    def __repr__(self) -> str:
        return f"feature_tag({self._tag!r})"

    def __enter__(self) -> feature_tag:
        _feature.set(Use(self._tag, self, _feature.get()))
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        use = _feature.get()
        if use is not None:
            _feature.set(use.outer if use.by is self else _without(use, self))

    async def __aenter__(self) -> feature_tag:
        return self.__enter__()

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Function) -> Function:
        """``function`` with its body under the tag: of the same kind, name and signature."""
        if isinstance(function, (staticmethod, classmethod)):
            return type(function)(self(function.__func__))
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"feature_tag: want a function to decorate, got {function!r}")
        return cast("Function", functools.wraps(function)(self._wrap(function)))

    def _wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):
            return _wrap_coroutine(function, self)
        if inspect.isasyncgenfunction(function):
            return _wrap_async_generator(function, self._tag)
        if inspect.isgeneratorfunction(function):
            return _wrap_generator(function, self._tag)
        return _wrap_function(function, self)


def _without(innermost: Use, by: feature_tag) -> Optional[Use]:
    """The chain less the innermost link of ``by``; as it is when there is none: that is in another context."""
    inner: list[Use] = []
    use: Optional[Use] = innermost
    while use is not None and use.by is not by:
        inner.append(use)
        use = use.outer
    if use is None:
        return innermost
    rest = use.outer
    for link in reversed(inner):
        rest = link._replace(outer=rest)
    return rest


def _wrap_function(function: Callable[..., Any], tag: feature_tag) -> Callable[..., Any]:
    def tagged(*args: Any, **kwargs: Any) -> Any:
        with tag:
            return function(*args, **kwargs)

    return tagged


def _wrap_coroutine(function: Callable[..., Any], tag: feature_tag) -> Callable[..., Any]:
    async def tagged(*args: Any, **kwargs: Any) -> Any:
        with tag:
            return await function(*args, **kwargs)

    return tagged


def _wrap_generator(function: Callable[..., Generator[Any, Any, Any]], tag: str) -> Callable[..., Any]:
    def tagged(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        body = function(*args, **kwargs)
        step: Callable[[Any], Any] = body.send
        given: Any = None
        inside: Optional[Use] = Use(tag, None)
        while True:
            outside = _feature.get()
            _feature.set(inside)
            try:
                value = step(given)
            except StopIteration as end:
                return end.value
            finally:  # what the body has entered stays its own until it goes on
                inside = _feature.get()
                _feature.set(outside)
                given = None
            try:
                given, step = (yield value), body.send
            except BaseException as error:  # noqa: BLE001 - close() and throw(): the body is to see them, whatever it is
                given, step = error, body.throw

    return tagged


def _wrap_async_generator(function: Callable[..., AsyncGenerator[Any, Any]], tag: str) -> Callable[..., Any]:
    async def tagged(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = function(*args, **kwargs)
        step: Callable[[Any], Any] = _begin
        given: Any = body
        inside: Optional[Use] = Use(tag, None)
        while True:
            outside = _feature.get()
            _feature.set(inside)
            try:
                value = await step(given)
            except StopAsyncIteration:
                return
            finally:  # what the body has entered stays its own until it goes on
                inside = _feature.get()
                _feature.set(outside)
                given = None
            try:
                given, step = (yield value), body.asend
            except BaseException as error:  # noqa: BLE001 - aclose() and athrow(): the body is to see them, too
                given, step = error, body.athrow

    return tagged


def _begin(body: AsyncGenerator[Any, Any]) -> Any:
    """The first step, without the event loop hearing of it: that would close the body while its wrapper does, too."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return body.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
