"""A WebSocket listener on this host, an editor's or a dashboard's: a frame is one text message.

The protocol has no acknowledgement, and a message into a connection whose peer has just died seems sent.  So a
ping follows each: the peer answers it after it has read the message before it.  A frame whose pong did not come
is sent again, hence maybe twice.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Optional

try:
    from websockets.exceptions import ConnectionClosed, WebSocketException
    from websockets.protocol import State
    from websockets.sync.client import ClientConnection, connect
except ImportError as exc:
    raise ImportError("a ws:// destination needs the package websockets: pip install 'recost[local]'") from exc

from recost.notice import Notice
from recost.session import Destination
from recost_collector.exporters import WAITING, Frame, Lease, Reject, Retry
from recost_collector.exporters.limit import limit
from recost_collector.network_words import in_words

CONNECT_S = 5.0
ANSWER_S = 10.0
CLOSE_S = 1.0
_LOOK_S = 0.02
_TOO_BIG = 1009
_NOT_UNDERSTOOD = frozenset({1003, 1007, _TOO_BIG})
"""Close codes that say the message itself was refused: wrong kind, wrong bytes, too big."""

# ValueError: the URL is none.  AssertionError: websockets' own, when a peer breaks off during the handshake.
# RuntimeError: an interpreter on its way out starts no thread, and each connection needs one.
_FAILURES = (OSError, WebSocketException, ValueError, AssertionError, RuntimeError)


class WebSocketExporter:
    """Connects when there is something to send, and stays connected."""

    def __init__(self, destination: Destination) -> None:
        self._url = destination.url
        self._connection: Optional[ClientConnection] = None
        self._open = contextlib.ExitStack()
        """Closes the connection: websockets wants each in a ``with``."""

    def export(self, frame: Frame) -> None:
        try:
            connection = self._connected()
            with limit(lambda: connection.socket, ANSWER_S):
                connection.send(frame.body.decode())
                _await_pong(connection)
        except ConnectionClosed as exc:
            self.close()
            raise self._refused_or_lost(exc) from exc
        except UnicodeDecodeError as exc:
            raise Reject(Notice("parked", "the window is no text, so it is no message for a WebSocket")) from exc
        except _FAILURES as exc:
            self.close()
            raise self._undelivered(in_words(exc)) from exc

    def close(self) -> None:
        self._connection = None
        with contextlib.suppress(*_FAILURES):  # it may be broken, which is why we close it
            self._open.close()

    def _connected(self) -> ClientConnection:
        """A connection that was open a moment ago; one that the peer closed in the meantime is replaced."""
        if self._connection is not None:
            if self._connection.state is State.OPEN:
                return self._connection
            self.close()
        # proxy=None: a listener on this host is never behind one. No keepalive: each frame has its ping.
        opening = connect(self._url, open_timeout=CONNECT_S, close_timeout=CLOSE_S, ping_interval=None, proxy=None)
        self._connection = self._open.enter_context(opening)
        return self._connection

    def _refused_or_lost(self, exc: ConnectionClosed) -> Exception:
        if exc.rcvd is not None and exc.rcvd.code in _NOT_UNDERSTOOD:
            return Reject(Notice("parked", f"{self._url} does not take this window: close code {exc.rcvd.code}"))
        return self._undelivered(str(exc))

    def _undelivered(self, text: str) -> Retry:
        message = f"no delivery to {self._url}: {text[:200]}{WAITING}; is something listening there?"
        return Retry(Notice("undelivered", message))


def open_exporter(destination: Destination, lease: Lease) -> WebSocketExporter:  # noqa: ARG001 - one shape for all
    return WebSocketExporter(destination)


def _await_pong(connection: ClientConnection) -> None:
    """Ends with the pong, or with ``ConnectionClosed``: when the limit closes it, at the latest."""
    pong: threading.Event = connection.ping()
    while not pong.wait(_LOOK_S):
        _discard_incoming(connection)


def _discard_incoming(connection: ClientConnection) -> None:
    """Throw away what the peer said: a full inbox holds up its pongs. Raises ``ConnectionClosed``."""
    with contextlib.suppress(TimeoutError):
        while True:
            connection.recv(timeout=0)
