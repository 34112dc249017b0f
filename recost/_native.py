"""The interpreter's own locks and threads, also in a program that gevent has patched.

A ring is written from whatever thread made the call, and watched from a thread of ours: a lock that
switches greenlets, or a thread that is a greenlet in somebody's hub, would stall both.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def native(module: str, name: str) -> Any:
    """``module.name`` as it was before gevent replaced it; the plain attribute without gevent."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)


new_rlock = native("_thread", "RLock")
new_lock = native("_thread", "allocate_lock")
start_thread = native("_thread", "start_new_thread")
TIMEOUT_MAX: float = native("_thread", "TIMEOUT_MAX")
"""What a lock waits at most, in seconds."""
