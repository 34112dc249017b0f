"""Tells the user of trouble, never on a request: ``on_error``, or without it one warning per kind and episode."""

from __future__ import annotations

import collections
import logging
from typing import Callable, Optional

from recost.notice import Notice, to_error

OnError = Callable[[Exception], object]
MAX_WAITING = 64

logger = logging.getLogger("recost")


class Troubles:
    """Collects on any thread; calls back and logs in ``tell`` alone, which is not for threads that serve requests."""

    def __init__(self, on_error: Optional[OnError]) -> None:
        self._on_error = on_error
        self._waiting: collections.deque[tuple[Exception, bool]] = collections.deque(maxlen=MAX_WAITING)
        self._episodes: set[str] = set()

    def later(self, error: Exception) -> None:
        """Tell it at the next ``tell``."""
        self._waiting.append((error, True))

    def during(self, episode: str, error: Exception) -> None:
        """Tell it once, until ``over``."""
        if episode not in self._episodes:
            self._episodes.add(episode)
            self.later(error)

    def over(self, episode: str) -> None:
        self._episodes.discard(episode)

    def notice(self, notice: Notice) -> None:
        """The collector's word. Only the first of an episode becomes a log line."""
        self._waiting.append((to_error(notice), notice.first))

    def tell(self) -> None:
        """Tell what waits: on the watcher's thread, and at the very end on the one that disposes."""
        while True:
            try:
                error, is_logged = self._waiting.popleft()
            except IndexError:  # none left, or another thread tells as well
                return
            if not self._call(error) and is_logged:
                logger.warning("%s", error)

    def _call(self, error: Exception) -> bool:
        """Hand it to ``on_error``, containing what that raises. False: there is none."""
        if self._on_error is None:
            return False
        try:
            self._on_error(error)
        except BaseException:  # its sys.exit() would end our thread, or escape from dispose()
            logger.exception("on_error raised and is contained")
        return True
