"""Puts hooks into an LLM package when it is imported, which may be now or later, and takes them away.

State: ``_patchables``, and what each of them holds (``patch`` and ``unpatch``, under ``_lock``); ``_watch``, in
``sys.meta_path``.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from typing import Any, Callable

from recost._capture.imports import Watch, is_under_way
from recost._capture.patch import Place
from recost._capture.wrap import Function, Switch, contained
from recost.llm import call_tags
from recost.system import at_fork


class Patchable:
    """One package, and the hooks in it."""

    def __init__(self, package: str, module: str) -> None:
        """``module``: of the package; once it is imported, the hooks can be put in."""
        self.package = package
        self.module = module
        self.is_patched = False
        self.default_tag = ""
        self._places: dict[tuple[Any, str], Place] = {}

    def apply(self) -> None:
        """Wrap what is to be wrapped in the imported package."""
        raise NotImplementedError

    def wrap(self, owner: Any, name: str, wrap: Callable[[Function, Any, Switch], Function]) -> None:
        of_us: Any = self  # a Place hands it on to the wrapper and does not look at it
        with _lock:
            if self.is_patched:
                self._places.setdefault((owner, name), Place(owner, name)).capture(of_us, wrap)

    def release(self) -> None:
        for place in self._places.values():
            place.release()


def patch(package: Patchable, default_feature_tag: str, hint: str = "") -> None:
    """Have ``package`` hooked from now on, whether it is imported yet or not. Idempotent; the newest tag counts.

    Raises ``ImportError`` where it is not installed, ``TypeError`` for a tag that is no string; then nothing changes.
    """
    given: object = default_feature_tag
    if not isinstance(given, str):
        raise TypeError(f"default_feature_tag: want a string such as 'checkout', got {type(given).__name__}")
    if not _is_there(package.package):
        what = hint or package.package
        raise ImportError(f"the calls of {package.package} cannot be counted without it: pip install {what}")
    with _lock:
        package.default_tag = call_tags.named(default_feature_tag)
        package.is_patched = True
        _patchables[package.module] = package
        _watch.start()
    if is_under_way(package.module) or sys.modules.get(package.module) is not None:
        contained(package.apply)


def unpatch(package: Patchable) -> None:
    """Undo ``patch``. Another tool's patches stay."""
    with _lock:
        package.is_patched = False
        package.release()


def _is_there(package: str) -> bool:
    try:
        return sys.modules.get(package) is not None or importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of a package in a namespace, which is not there either
        return False


def _imported(module: str) -> None:
    package = _patchables[module]
    if package.is_patched:
        contained(package.apply)


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - in a forked child, where a thread that is not there may have held it
    _lock = threading.RLock()


_patchables: dict[str, Patchable] = {}
_lock = threading.RLock()
_watch = Watch(_patchables.keys(), _imported)  # a view: it grows with the dict
at_fork(after_in_child=_renew_lock)
