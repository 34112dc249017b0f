"""Visitors of the help desk: a few threads that ask for one page after another."""

from __future__ import annotations

import http.client
import itertools
import threading

PAGES = ("/bill", "/answer", "/look-up", "/notify", "/summarize")
TIMEOUT_S = 30
PAUSE_S = 0.05
"""After a page that failed, so that a server that is down is not asked thousands of times."""


class Load:
    """``visitors`` threads from ``start`` to ``stop``, which waits for the pages under way."""

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

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

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
