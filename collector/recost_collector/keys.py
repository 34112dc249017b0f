"""The keys of destinations that still have something to receive, when the ring that brought them is gone.

One 0600 file per destination in the runtime directory, which is memory: a key never reaches a disk, an argument
or a log.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

from recost.system import CLOSELY

PREFIX = "key-"


def key_id(api_key: str) -> str:
    """A name for a key that does not tell it."""
    return hashlib.blake2b(api_key.encode(), digest_size=8).hexdigest() if api_key else ""


class Keys:
    """The key files of one runtime directory. Only the leader writes them."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._known: dict[str, str] = {}

    def remember(self, destination_id: str, api_key: str) -> None:
        """Keep the key that was registered last. Does nothing when it is the one we have."""
        if not api_key or self._known.get(destination_id) == api_key:
            return
        self._known[destination_id] = api_key
        path = self._path(destination_id)
        with contextlib.suppress(OSError):  # no room: the ring still has it
            fd = os.open(path + "~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CLOSELY, 0o600)
            try:
                os.write(fd, api_key.encode())
            finally:
                os.close(fd)
            os.replace(path + "~", path)

    def recall(self, destination_id: str) -> str:
        """The key registered last; empty when none is known."""
        if destination_id not in self._known:
            try:
                fd = os.open(self._path(destination_id), os.O_RDONLY | CLOSELY)
            except OSError:
                return ""
            try:
                self._known[destination_id] = os.read(fd, 4096).decode("utf-8", "replace")
            finally:
                os.close(fd)
        return self._known[destination_id]

    def forget(self, destination_id: str) -> None:
        """Nothing waits for it any more."""
        self._known.pop(destination_id, None)
        with contextlib.suppress(OSError):
            os.unlink(self._path(destination_id))

    def _path(self, destination_id: str) -> str:
        return os.path.join(self._directory, PREFIX + destination_id)
