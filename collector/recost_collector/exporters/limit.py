"""A limit for a block that talks over a socket, however busy that socket is.

The timeouts of the libraries begin anew with each byte, or do not watch sending: a peer that dribbles or stops
reading could hold a delivery thread for ever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Optional


@contextlib.contextmanager
def limit(get_socket: Callable[[], Optional[socket.socket]], seconds: float) -> Iterator[None]:
    """Shut the socket down when the block takes longer, so that whoever waits for it goes on, with an error.

    ``get_socket`` is asked at that moment, for a connection has none before it connects and another one after.
    """
    timer = threading.Timer(seconds, _shut_down, (get_socket,))
    timer.daemon = True
    with contextlib.suppress(RuntimeError):  # an interpreter on its way out starts no threads
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(get_socket: Callable[[], Optional[socket.socket]]) -> None:
    sock = get_socket()
    if sock is not None:
        with contextlib.suppress(OSError):  # closed in the same moment
            # The plain socket's: that of an SSLSocket takes the TLS state away from the thread that reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
