"""Visitors of the help desk: a few threads that ask for one page after another."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from types import TracebackType
from typing import Optional

PAGES = ("/bill", "/answer", "/look-up", "/notify", "/summarize", "/advise")
TIMEOUT_S = 30
PAUSE_S = 0.05
"""After a page that failed, so that a server that is down is not asked thousands of times."""


class Load:
    """``visitors`` threads. A context manager, at whose end no more pages are asked for."""

    def __init__(self, address: tuple[str, int], visitors: int) -> None:
        self._address = address
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(n,), daemon=True) for n in range(visitors)]
        self._pages = [0] * visitors
        self._failures = [0] * visitors

    @property
    def pages(self) -> int:
        """Answered in full."""
        return sum(self._pages)

    @property
    def failures(self) -> int:
        """Pages that broke off, as those that a killed worker was making, and those answered with an error."""
        return sum(self._failures)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._stopping.set()

    def stop(self) -> None:
        """Wait for the pages under way."""
        self._stopping.set()
        give_up_at = time.monotonic() + TIMEOUT_S
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))

    def _visit(self, visitor: int) -> None:
        for number in itertools.count(visitor):
            if self._stopping.is_set():
                return
            if self._get(PAGES[number % len(PAGES)]):
                self._pages[visitor] += 1
            else:
                self._failures[visitor] += 1
                self._stopping.wait(PAUSE_S)

    def _get(self, page: str) -> bool:
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_S)
        try:
            connection.request("GET", page)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return response.status == http.client.OK
