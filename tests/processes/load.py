"""Requests all the time."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Callable, Optional


@contextlib.contextmanager
def asking(
    ask: Callable[[str], object], paths: Sequence[str], clients: int, enough: Optional[threading.Event] = None
) -> Iterator[None]:
    """So many threads that ``ask`` for one path after the other, until the block ends or there is ``enough``."""
    over = enough or threading.Event()
    threads = [threading.Thread(target=_ask_until, args=(over, ask, paths)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask_until(over: threading.Event, ask: Callable[[str], object], paths: Sequence[str]) -> None:
    for path in itertools.cycle(paths):
        if over.is_set():
            return
        ask(path)
