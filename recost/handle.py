"""``init()``, the handle that it returns, and ``flush()``."""

from __future__ import annotations

import atexit
import logging
import os
from types import TracebackType
from typing import TYPE_CHECKING, Optional

from recost import _in_process, _runtime
from recost._capture import add_sink, patch_imported, patch_now, remove_sink
from recost._native import new_rlock
from recost._runtime import Runtime
from recost.config import Keywords, RecostConfig, differing, resolve
from recost.ring.layout import FLUSH_NONE, FLUSH_OK
from recost.system import SHARES, at_fork, has_locks, lacking
from recost.variables import warn_of_unread_variables
from recost.wire import FlushStatus

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack  # 3.11 has them; no dependency at run time

MANY_CALLS = 10
"""Of ``init`` in one process: whoever calls it so often does it in a request."""

logger = logging.getLogger("recost")


class RecostHandle:
    """One ``init()``. Any thread may use it, and so may forked children, each for itself.

    As a context manager it disposes of itself at the end of the block.
    """

    def __init__(self, runtime: Optional[Runtime]) -> None:
        self._made = runtime
        self._settings = RecostConfig(enabled=False) if runtime is None else runtime.settings

    @property
    def pid(self) -> int:
        """The process that the handle acts for: this one."""
        return os.getpid()

    @property
    def last_flush_status(self) -> Optional[FlushStatus]:
        """The last delivery with events of this process in it; None before the first."""
        runtime = self._runtime()
        status, size, at_ms = (FLUSH_NONE, 0, 0) if runtime is None else runtime.last_flush
        return None if status == FLUSH_NONE else FlushStatus("ok" if status == FLUSH_OK else "error", size, at_ms)

    def flush_blocking(self, timeout_s: float = 3.0) -> bool:
        """Ask for one delivery attempt at once and wait up to ``timeout_s``.

        True: everything that this process published before the call is settled, that is delivered, refused for
        good, or back in the spool to wait; ``last_flush_status`` says which. False: it goes on behind.
        """
        runtime = self._runtime()
        return runtime is None or runtime.flush(timeout_s)

    def dispose(self) -> None:
        """Stop capturing, deliver what is left within ``shutdown_flush_timeout_ms``, detach. Idempotent."""
        runtime = self._runtime()
        if runtime is None or runtime.disposed:
            return
        _stop_capture_of(runtime)
        runtime.dispose(self._settings.shutdown_flush_timeout_ms / 1000)

    def reinit_after_fork(self) -> None:
        """Not needed: a forked child notices at its first call. Kept for programs that call it; idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.dispose()

    def _runtime(self) -> Optional[Runtime]:
        return None if self._made is None else self._made.here()


def init(config: Optional[RecostConfig] = None, **settings: Unpack[Keywords]) -> RecostHandle:
    """Patch the HTTP clients and return the handle. Makes no file and starts nothing: the first captured call does.

    Keywords beat ``config``, which beats ``RECOST_*`` variables. Called again, the new settings count once they
    are found right, and the old handle is detached without waiting. Any thread may call it.

    Raises ``ConfigError`` (a ``ValueError``) for a wrong setting, ``TypeError`` for an unknown one, ``ImportError``
    naming the extra when ``local_transport="ws"`` lacks its package.
    """
    global _switched_off  # noqa: PLW0603 - module state
    resolved = _if_possible(resolve(config, settings, os.environ))
    _import_what_is_missing(resolved)
    with _initialising:
        handle = _init(resolved)
        _switched_off = not resolved.enabled
    if resolved.enabled:
        warn_of_unread_variables(os.environ)
        patch_imported()
    return handle


def init_automatically(client: str) -> None:
    """For ``recost-run``, when this thread has executed the module ``client`` and still holds its import lock.

    ``init()`` on behalf of a program that has not called it, with the environment's settings, and ``client`` patched.
    The program's own ``init()``, called later, replaces this one without a word, and so do hooks and initializers.
    """
    global _automatic  # noqa: PLW0603 - module state
    if not _calls:
        resolved = _if_possible(resolve(None, {}, os.environ))
        _import_what_is_missing(resolved)
        with _initialising:
            if not _calls:
                _init(resolved)
                _automatic = None if _runtime.current is None else _runtime.current.settings
    patch_now(client)


def is_chosen() -> bool:
    """Whether the program itself, or who acts for it, has decided what is captured here: not ``recost-run`` alone.

    ``init(enabled=False)`` is a decision, too. What was disposed of is none any more.
    """
    current = _runtime.current
    return _switched_off or (current is not None and current.settings is not _automatic)


def was_called() -> bool:
    """Whether ``init()`` has been called in this process, be it to switch recost off."""
    return _calls > 0


def flush(timeout: float = 5.0) -> bool:
    """``flush_blocking`` of the current ``init()``, in seconds; True when there is none."""
    runtime = _runtime.current
    return runtime is None or runtime.here().flush(timeout)


def _if_possible(settings: RecostConfig) -> RecostConfig:
    """With a collector of its own where processes cannot share one; switched off where no file can be locked."""
    global _has_warned  # noqa: PLW0603 - module state
    if SHARES or not settings.enabled:
        return settings
    if not has_locks():
        if not _has_warned:
            logger.warning("nothing is captured, this system lacks %s", lacking())
        _has_warned = True
        return RecostConfig(enabled=False)
    if settings.collector == "external" and not _has_warned:
        _has_warned = True
        logger.warning('collector="external" counts as "thread", processes share no collector here: no %s', lacking())
    return settings.replace(collector="thread")


def _import_what_is_missing(settings: RecostConfig) -> None:
    """While no lock of ours is held: an import waits for threads that import the same, and they may wait for us.

    Raises ``ConfigError`` for a file of prices that is none, and then nothing has changed.
    """
    if settings.enabled and settings.collector == "thread":
        _in_process.load()
    current = _runtime.current
    before = (None, None) if current is None else (current.settings.prices, current.settings.prices_file)
    if settings.enabled and before != (settings.prices, settings.prices_file):
        _use_prices(settings)


def _init(settings: RecostConfig) -> RecostHandle:
    """Under ``_initialising``, so it imports nothing."""
    global _calls  # noqa: PLW0603 - module state
    _calls += 1
    old = _runtime.current
    old = None if old is None or old.disposed else old.here()
    if not settings.enabled:
        _replace(old, None)
        return RecostHandle(None)
    runtime = Runtime(settings)
    _replace(old, runtime)
    handle = RecostHandle(runtime)
    if settings.auto_shutdown_handlers:
        _at_exit(handle)
    return handle


def _replace(old: Optional[Runtime], new: Optional[Runtime]) -> None:
    """The new one counts before the old one is let go, so that no call falls between them."""
    if new is not None:
        _runtime.adopt(new)
        add_sink(_runtime.record, patch=False)
    if old is None:
        return
    if new is None:
        _stop_capture_of(old)
    elif old.settings is not _automatic:
        _warn_of_another_call(old.settings, new.settings)
    old.dispose(0)


def _use_prices(settings: RecostConfig) -> None:
    from recost.llm import prices  # noqa: PLC0415 - for those who name prices

    # What the variable names is read from there, so that an error names it.
    is_variables = settings.prices_file == os.environ.get(prices.ENVIRONMENT)
    prices.set_prices(settings.prices, file=None if is_variables else settings.prices_file)


def _warn_of_another_call(old: RecostConfig, new: RecostConfig) -> None:
    changed = differing(old, new)
    if changed:
        logger.warning("init() was called again and its settings count from now on: %s", "; ".join(changed))
    elif _calls == MANY_CALLS:
        logger.warning("init() was called %d times: call it once, when the program starts; each ends a window", _calls)


def _stop_capture_of(runtime: Runtime) -> None:
    if _runtime.current is not None and _runtime.current.here() is runtime:
        _runtime.current = None
        remove_sink(_runtime.record)


def _at_exit(handle: RecostHandle) -> None:
    """Dispose of the newest handle at exit. One hook for the life of the process, however often ``init`` is called."""
    global _newest, _hooked  # noqa: PLW0603 - module state of the one atexit hook
    _newest = handle
    if not _hooked:
        _hooked = True
        atexit.register(_dispose_newest)


def _dispose_newest() -> None:
    if _newest is not None:
        _newest.dispose()


def _renew_lock_in_child() -> None:
    """Another thread of the parent may have held it."""
    global _initialising  # noqa: PLW0603 - a lock is renewed, never repaired
    _initialising = new_rlock()


_initialising = new_rlock()
_newest: Optional[RecostHandle] = None
_hooked = False
_calls = 0
_switched_off = False
"""Whether the last ``init()`` said ``enabled=False``; a forked child has it from its parent."""
_has_warned = False
_automatic: Optional[RecostConfig] = None
"""The settings that ``init_automatically`` found; a forked child's Runtime has the same object."""
at_fork(after_in_child=_renew_lock_in_child)
