"""Where frames go: one exporter per URL scheme, each knowing three outcomes.

``export()`` returns: done.  It raises ``Retry``: try this frame again later.  It raises ``Reject``: this frame
will not be taken as it is.  When, how often and in which order is not an exporter's business but delivery's.

An exporter makes one attempt a call and remembers nothing of the last frame but what its medium needs (a
connection, the place of an append).  ``open_exporter`` is the list of them.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Container, Iterable
from typing import Any, NamedTuple, Optional, Protocol
from urllib.parse import urlsplit

from recost.notice import Notice
from recost.session import Destination

WAITING = "; the windows wait on disk"
"""In the text of a ``Retry``: behind what went wrong, before what to do."""
INTENT = ".intent"
"""A file in ``Lease.state_dir`` that an exporter keeps is named after its destination's id, and ends so."""
_KEPT = (INTENT, f"{INTENT}.new")
_MODULES = {"https": "https", "http": "https", "file": "ndjson", "ws": "websocket"}


class Frame(NamedTuple):
    """One closed window as bytes."""

    key: str
    """The Idempotency-Key: stays with the frame over all tries."""
    body: bytes
    sdk_version: str
    api_key: str
    """Empty for destinations that take none."""

    def __repr__(self) -> str:
        return f"Frame(key={self.key!r}, {len(self.body)} bytes)"


class Retry(Exception):  # noqa: N818 - an outcome, not an error of the program
    """Not now. ``after_s`` is the destination's wish; None leaves the time to delivery's back-off."""

    def __init__(self, notice: Notice, after_s: Optional[float] = None) -> None:
        super().__init__(notice, after_s)
        self.notice = notice
        self.after_s = after_s


class Reject(Exception):  # noqa: N818 - an outcome, not an error of the program
    """Not this frame. After ``tries`` such answers, a flush interval apart, it is parked."""

    def __init__(self, notice: Notice, tries: int = 1) -> None:
        super().__init__(notice, tries)
        self.notice = notice
        self.tries = tries


class Lease(Protocol):
    """What an exporter asks of the collector that it works for."""

    @property
    def state_dir(self) -> str:
        """A directory of this collector alone, kept over restarts with the spool: the next leader finds it."""

    def held(self) -> bool:
        """False: another collector leads by now, so nothing may be written. Any thread may ask."""


class Exporter(Protocol):
    """A destination. One thread at a time calls it; ``close`` is called by the same thread."""

    def export(self, frame: Frame) -> None:
        """Deliver ``frame`` whole. Returns when it is there; raises ``Retry`` or ``Reject`` otherwise."""

    def close(self) -> None:
        """Give connections and files back. Never raises."""


def open_exporter(destination: Destination, lease: Lease) -> Exporter:
    """The exporter for ``destination``. Touches neither network nor disk; those answer at the first ``export``.

    Raises ``Retry`` where this installation has none, so that the windows wait for a collector that has.
    """
    try:
        name = _MODULES[urlsplit(destination.url).scheme]
    except (KeyError, ValueError) as exc:
        text = f"this collector knows no such destination; a newer recost may{WAITING}"
        raise Retry(Notice("undelivered", text)) from exc
    try:
        exporter: Exporter = _load(name).open_exporter(destination, lease)
    except ImportError as exc:
        raise Retry(Notice("undelivered", f"{exc}{WAITING}")) from exc
    return exporter


def forget(destination_ids: Iterable[str], lease: Lease) -> None:
    """Remove what is kept in the state directory for these: nothing is there any more that goes to them."""
    for path in (os.path.join(lease.state_dir, name + ending) for name in destination_ids for ending in _KEPT):
        with contextlib.suppress(OSError):
            os.unlink(path)


def forget_all_but(known: Container[str], lease: Lease) -> None:
    """The same for all others than the ``known`` ones: a crash may have come before it."""
    found = {name.partition(".")[0] for name in os.listdir(lease.state_dir) if name.endswith(_KEPT)}
    forget((name for name in found if name not in known), lease)


def load_exporters() -> None:
    """Import every exporter that can be, for whoever must not import later."""
    for name in sorted(set(_MODULES.values())):
        with contextlib.suppress(ImportError):  # without the extra; ``open_exporter`` says so where it matters
            _load(name)


def load_exporter(destination: Destination) -> None:
    """Import the one for ``destination``, if it can be, when that is first heard of.

    A collector of files alone needs no TLS, which takes 5 MB; and when the first window is to go out, the virtual
    environment may be gone.
    """
    with contextlib.suppress(KeyError, ValueError, ImportError):  # the same
        _load(_MODULES[urlsplit(destination.url).scheme])


def _load(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
