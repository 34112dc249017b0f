"""Rings that are emptied and counted for good: first their files go, then what the spool knows of them.

The other order would double: a leader that is killed between the two leaves a ring without a cursor, which its
successor reads and counts from the last released position on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from recost.ring.files import RING_PREFIX
from recost.ring.reader import Cursor
from recost_collector.changes import FINISHED


class Finished:
    """Those of ``directory``, by name; to begin with, those that an earlier leader had no time to remove."""

    def __init__(self, directory: str, cursors: dict[str, Cursor]) -> None:
        self._directory = directory
        self._names = {name for name, cursor in cursors.items() if cursor.sequence == FINISHED}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """It is committed as finished: remove its file."""
        self._names.add(name)
        self._remove(name)

    def removed(self) -> list[str]:
        """Those whose files are gone: the spool may forget them. One that could not be removed is tried again."""
        return [name for name in self._names if self._remove(name)]

    def forget(self, names: Iterable[str]) -> None:
        """The spool has."""
        self._names.difference_update(names)

    def _remove(self, name: str) -> bool:
        try:
            os.unlink(os.path.join(self._directory, RING_PREFIX + name))
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True
