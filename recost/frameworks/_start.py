"""What every integration begins with: its framework, and the ``init()`` that it stands for."""

from __future__ import annotations

import functools
import importlib
import warnings
from types import ModuleType
from typing import Any, Callable, NamedTuple, Optional, TypeVar, cast

from recost import _runtime
from recost.config import Keywords, RecostConfig
from recost.handle import RecostHandle, init, is_chosen

Init = TypeVar("Init", bound=Callable[..., None])


class Started(NamedTuple):
    handle: RecostHandle
    is_own: bool
    """False: the program called ``init()`` itself, so the handle is for the program to dispose of."""


def start(config: Optional[RecostConfig], settings: Keywords) -> Started:
    """``init()`` with what was given; with nothing given, a program that has called it before keeps its own."""
    if config is None and not settings and is_chosen():
        return Started(RecostHandle(_runtime.current), is_own=False)
    return Started(init(config, **settings), is_own=True)


def deprecated(init_of_new: Init, old: str, new: str) -> Init:
    """An ``__init__`` with the same signature that says so."""

    @functools.wraps(init_of_new)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        warnings.warn(f"{old} is deprecated: use {new}", DeprecationWarning, stacklevel=2)
        init_of_new(*args, **kwargs)

    return cast("Init", wrapper)


def need(module: str, extra: str) -> ModuleType:
    """The framework's module. Without it an ``ImportError`` that names the extra."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, and lacks something itself
        text = f"recost.frameworks.{extra} needs the package {exc.name}: pip install 'recost[{extra}]'"
        raise ImportError(text, name=exc.name) from exc
