"""A WebSocket server that collects messages, and can be down."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, Optional

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve


class Listener:
    """``handle``, when given, serves a connection instead of collecting its messages."""

    def __init__(
        self, handle: Optional[Callable[[ServerConnection], None]] = None, *, port: int = 0, **options: Any
    ) -> None:
        self.messages: list[str] = []
        self.connections: list[ServerConnection] = []
        self._handle = handle
        self._options = options
        self._port = port
        self.start()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    def windows(self) -> list[Any]:
        return [json.loads(message) for message in self.messages]

    def start(self) -> None:
        self._server = serve(self._serve, "127.0.0.1", self._port, **self._options)
        self._port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self.drop()

    def drop(self) -> None:
        """Close the connections, and go on listening."""
        while self.connections:
            self.connections.pop().close()

    def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        if self._handle is not None:
            self._handle(connection)
            return
        try:
            while True:
                message = connection.recv()
                assert isinstance(message, str), "a window is a text message"
                self.messages.append(message)
        except ConnectionClosed:
            pass
