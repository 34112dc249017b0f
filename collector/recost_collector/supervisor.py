"""systemd, or whoever else listens at ``$NOTIFY_SOCKET``: hears that the collector leads, lives and ends (sd_notify).

Only ``recost-collector run`` has one: a collector that a worker spawned inherits neither of the variables, so it never
speaks in the name of the worker's own service.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Optional

START_EXTENSION_S = 30.0
"""How much longer a start may take after each step of it: a large spool on a slow disk."""

logger = logging.getLogger("recost_collector")


class Supervisor:
    """One thread. Never blocks and never raises; without a socket it does nothing."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._socket = _connect(environ.get("NOTIFY_SOCKET", ""))
        self._beat_s = _watchdog_s(environ) / 2  # so that one that is late does no harm
        self._beat_at = 0.0

    def starting(self) -> None:
        """Between two steps of a start."""
        self._say(f"EXTEND_TIMEOUT_USEC={round(START_EXTENSION_S * 1e6)}")

    def ready(self, directory: str) -> None:
        self._say(f"READY=1\nSTATUS=leads in {directory}")

    def alive(self) -> None:
        """Once a turn of the loop, and from nowhere else: a loop that hangs is to be ended."""
        now = time.monotonic()
        if self._beat_s and now - self._beat_at >= self._beat_s:
            self._beat_at = now
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        self._say("STOPPING=1\nSTATUS=delivers what is left")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(text.encode())
        except OSError as exc:
            logger.debug("the supervisor does not hear: %s", exc)


def _connect(address: str) -> Optional[socket.socket]:
    """``address``: an absolute path, or ``@`` and a name in Linux's abstract namespace."""
    if not address.startswith(("/", "@")):
        return None
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.setblocking(False)
    try:
        found.connect(f"\0{address[1:]}" if address[0] == "@" else address)
    except OSError as exc:
        found.close()
        logger.warning("nobody listens at NOTIFY_SOCKET=%s: %s", address, exc)
        return None
    return found


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """Seconds within which the supervisor wants a sign of life; 0: none, or of another process."""
    try:
        wanted_us = int(environ.get("WATCHDOG_USEC", "0"))
        pid = int(environ.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return 0.0
    return wanted_us / 1e6 if wanted_us > 0 and pid == os.getpid() else 0.0
