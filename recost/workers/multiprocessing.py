"""Pools whose children capture with the config of the process that made them, whatever the start method.

A forked child inherits it anyway.  A spawned one is sent it, key included, where the rest of its work comes from:
through a pipe, never in arguments or environment.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import multiprocessing.pool
import pickle
from collections.abc import Callable, Iterable
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler
from typing import Any, Optional

from recost import _runtime
from recost.config import RecostConfig
from recost.handle import init, is_chosen

logger = logging.getLogger("recost")


class Initializer:
    """For ``initializer=`` of any pool: makes its children capture as this process does, then calls ``then``.

    The config is read when a child is started.  Without an ``init()`` here there is none, and nothing is captured.
    """

    def __init__(self, then: Optional[Callable[..., object]] = None, config: Optional[RecostConfig] = None) -> None:
        self._then = then
        self._config = config

    def __call__(self, *arguments: Any) -> None:
        # A child has a config already when it was forked, or when its main module calls init().
        if self._config is not None and not is_chosen():
            _init(self._config)
        if self._then is not None:
            self._then(*arguments)

    def __reduce__(self) -> tuple[Callable[..., Initializer], tuple[Any, ...]]:
        runtime = _runtime.current
        if runtime is None or runtime.disposed:
            return Initializer, (self._then,)
        return _restore, (self._then, runtime.settings.replace(on_error=None), _pickled(runtime.settings.on_error))


initializer = Initializer()
"""``initializer=recost.workers.multiprocessing.initializer``, for a pool that is not made here."""


class Pool(multiprocessing.pool.Pool):
    """``multiprocessing.Pool``, with children that capture. A program's own ``initializer`` runs after ours."""

    def __init__(
        self,
        processes: Optional[int] = None,
        initializer: Optional[Callable[..., object]] = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: Optional[int] = None,
        context: Optional[BaseContext] = None,
    ) -> None:
        super().__init__(processes, _ours_before(initializer), initargs, maxtasksperchild, context)


class ProcessPoolExecutor(concurrent.futures.ProcessPoolExecutor):
    """The one of ``concurrent.futures``, likewise. ``more``: what the Python at hand has beyond the oldest."""

    def __init__(
        self,
        max_workers: Optional[int] = None,
        mp_context: Optional[BaseContext] = None,
        initializer: Optional[Callable[..., object]] = None,
        initargs: tuple[Any, ...] = (),
        **more: Any,
    ) -> None:
        super().__init__(max_workers, mp_context, _ours_before(initializer), initargs, **more)


def _ours_before(initializer: object) -> Any:
    """What is no function is left to the pool to refuse."""
    return Initializer(initializer) if initializer is None or callable(initializer) else initializer


def _init(config: RecostConfig) -> None:
    try:
        init(config)
    except (ValueError, ImportError) as exc:  # raised, it would have the pool start children for ever
        logger.warning("this child captures nothing: %s", exc)


def _pickled(on_error: object) -> bytes:
    """``on_error`` by itself; empty when it cannot be sent, and the child's trouble becomes log lines."""
    try:
        return bytes(ForkingPickler.dumps(on_error))
    except Exception:  # noqa: BLE001 - pickling runs code of the program's
        return b""


def _restore(then: Optional[Callable[..., object]], config: RecostConfig, on_error: bytes) -> Initializer:
    with contextlib.suppress(Exception):  # what could be sent need not be found there, and the child must live
        config = config.replace(on_error=pickle.loads(on_error))  # noqa: S301 - our parent's
    return Initializer(then, config)
