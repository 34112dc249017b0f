"""Every function that recost wraps, with three ways to have it: bare, with a clock, with recost.

A method is found at each call, so the three can take turns within one process and on one connection.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from operator import attrgetter
from time import perf_counter_ns
from typing import Any

from recost._capture import CLIENTS
from recost._capture.wrap import wrap_coroutine

VARIANTS = ("bare", "clock", "recost")

Function = Callable[..., Any]


class Switchboard:
    """Made before ``init()``; ``capture`` after it. At the end ``use("recost")``, so that recost can undo its part."""

    def __init__(self) -> None:
        self._places = _places()
        self._functions: dict[str, list[Function]] = {
            "bare": [vars(owner)[name] for owner, name, _ in self._places],
            "clock": [_clocked(vars(owner)[name], is_async=is_async) for owner, name, is_async in self._places],
        }

    def capture(self) -> None:
        """Take note of the wrappers that are there now."""
        self._functions["recost"] = [vars(owner)[name] for owner, name, _ in self._places]

    def use(self, variant: str) -> None:
        for (owner, name, _), function in zip(self._places, self._functions[variant]):
            setattr(owner, name, function)


def _places() -> list[tuple[Any, str, bool]]:
    """Class, name of the function, and whether it is a coroutine, of every client."""
    found = []
    for module_name, file in CLIENTS.items():
        module = importlib.import_module(module_name)
        for path, wrap in importlib.import_module(file).TARGETS:
            owner, _, name = path.rpartition(".")
            found.append((attrgetter(owner)(module), name, wrap is wrap_coroutine))
    return found


def _clocked(original: Function, *, is_async: bool) -> Function:
    return _clocked_coroutine(original) if is_async else _clocked_function(original)


def _clocked_function(original: Function) -> Function:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started_ns = perf_counter_ns()
        try:
            return original(*args, **kwargs)
        finally:
            wrapper.duration_ns = perf_counter_ns() - started_ns  # type: ignore[attr-defined]  # somebody wants it

    return wrapper


def _clocked_coroutine(original: Function) -> Function:
    @functools.wraps(original)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        started_ns = perf_counter_ns()
        try:
            return await original(*args, **kwargs)
        finally:
            wrapper.duration_ns = perf_counter_ns() - started_ns  # type: ignore[attr-defined]  # somebody wants it

    return wrapper
