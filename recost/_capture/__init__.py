"""Capture: sees every HTTP call of the clients below and tells the sinks. Imports no client that is not imported.

The first sink patches: clients that are imported now, and the others when they are.  The last one removed undoes it.
A client is one file here that says which functions to wrap and how to read a call; the wrapper is in ``wrap``.

State: the sinks, in ``wrap``, under ``_lock``; what is patched, in ``_patches``; ``_watch``, in ``sys.meta_path``.
"""

from __future__ import annotations

import importlib
import sys
import threading

from recost._capture import wrap
from recost._capture.imports import Watch, is_under_way
from recost._capture.patch import Patches
from recost._capture.wrap import Sink, suppressed
from recost.system import at_fork

__all__ = ["add_sink", "fault_count", "is_installed", "patch_imported", "patch_now", "remove_sink", "suppressed"]

CLIENTS = {
    "aiohttp": "recost._capture.aiohttp",
    "httpx": "recost._capture.httpx",
    "httpx2": "recost._capture.httpx",
    "requests": "recost._capture.requests",
    "urllib3": "recost._capture.urllib3",
}
"""Which file describes which module. httpx2 has httpx's shape."""


def add_sink(sink: Sink, *, patch: bool = True) -> None:
    """Have ``sink`` called with the event of every finished call, on the thread that made it. Any thread may call.

    A sink is quick, makes no calls of its own, and does not raise: what it raises is contained and counted.
    Added twice it is called once.  Returns when every imported client is patched; without ``patch`` at once, and
    ``patch_imported`` is to follow.
    """
    with _lock:
        if sink not in wrap.sinks():
            wrap.set_sinks((*wrap.sinks(), sink))
        _watch.start()
    if patch:
        patch_imported()


def patch_imported() -> None:
    """Patch the clients that are imported, also one that another thread is importing: hold no lock, it waits for it."""
    for name in CLIENTS:
        if is_under_way(name) or sys.modules.get(name) is not None:  # in this order: it may end in between
            patch_now(name)


def patch_now(name: str) -> None:
    """Patch the client ``name``, which is imported or being imported, if there is a sink. Never raises."""
    wrap.contained(_patch, name)


def remove_sink(sink: Sink) -> None:
    """Undo ``add_sink``; nothing for a sink that is not there. A call that is under way is told to those that stay."""
    with _lock:
        wrap.set_sinks(tuple(other for other in wrap.sinks() if other != sink))
        if not wrap.sinks():
            _watch.stop()
            _patches.remove_all()


def is_installed() -> bool:
    """Whether there is a sink, and so calls are captured."""
    return bool(wrap.sinks())


def fault_count() -> int:
    """Faults of ours that were contained in this process."""
    return wrap.faults


def _patch(name: str) -> None:
    # No lock yet: an import waits for a thread that is importing the same, and that one may wait for our lock.
    try:
        module = importlib.import_module(name)
    except ImportError:  # so that other thread has failed, too
        return
    client = importlib.import_module(CLIENTS[name])
    with _lock:
        if is_installed():
            _patches.apply(module, client)


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - in a forked child, where a thread that is not there may have held it
    _lock = threading.RLock()


_lock = threading.RLock()
_patches = Patches()
_watch = Watch(CLIENTS, patch_now)
at_fork(after_in_child=_renew_lock)
