"""``install(callback)``: capture without a collector, for those who do something of their own with each call."""

from __future__ import annotations

import logging
from typing import Callable, Optional

from recost import _capture
from recost._capture import suppressed
from recost._checks import is_async
from recost.event import CallEvent, RawEvent, to_raw

__all__ = ["install", "is_installed", "suppressed", "uninstall"]

logger = logging.getLogger("recost")

_callback: Optional[Callable[[RawEvent], object]] = None
_told = False


def install(callback: Callable[[RawEvent], object]) -> None:
    """Patch the HTTP clients and call ``callback`` for each finished call, on the thread that made it. No exclusions.

    There is one callback: a second ``install`` replaces it.  What it raises is contained, and logged the first time.
    Calls that it makes itself are not captured, or it would be called for these, without end.  Raises ``TypeError``
    for what cannot be called, or has to be awaited.
    """
    given: object = callback
    if not callable(given) or is_async(given):
        raise TypeError(f"install: want a function of one argument that is not async, got {given!r}")
    global _callback, _told
    _callback, _told = callback, False
    _capture.add_sink(_hand_out)


def uninstall() -> None:
    """Forget the callback and take away the patches, unless ``init()`` needs them. Nobody else's patch is touched."""
    global _callback  # noqa: PLW0603 - this module's state
    _capture.remove_sink(_hand_out)
    _callback = None


def is_installed() -> bool:
    """Whether calls are captured in this process, for ``install()`` or for ``init()``."""
    return _capture.is_installed()


def _hand_out(event: CallEvent) -> None:
    callback = _callback
    if callback is None:  # uninstalled while this call was under way
        return
    with suppressed():
        try:
            callback(to_raw(event))
        except Exception as error:  # noqa: BLE001 - a user's call must not fail because of the callback
            _tell_once(error)


def _tell_once(error: Exception) -> None:
    global _told  # noqa: PLW0603 - this module's state
    if not _told:
        _told = True
        logger.warning("the callback given to install() raised, its later errors are not logged", exc_info=error)
