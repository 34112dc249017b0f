"""What a system may lack, Windows above all, in one place: recost can be imported without it.

``init()`` then captures nothing, and says so once; nothing else here asks where it runs.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Callable, Optional


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl = _module("fcntl")
pwd = _module("pwd")


def missing() -> str:
    """What rings and collectors need and this system lacks; empty: nothing."""
    needed = {"fcntl": fcntl is not None, "pwd": pwd is not None, "os.fork": hasattr(os, "fork")}
    return ", ".join(name for name, is_there in needed.items() if not is_there)


def at_fork(
    before: Optional[Callable[[], object]] = None,
    after_in_parent: Optional[Callable[[], object]] = None,
    after_in_child: Optional[Callable[[], object]] = None,
) -> None:
    """``os.register_at_fork``, where there are forks."""
    hooks = {"before": before, "after_in_parent": after_in_parent, "after_in_child": after_in_child}
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**{name: hook for name, hook in hooks.items() if hook is not None})
