"""Reading a file of any size: in stretches, and where there are several of them by several processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence

from recost_collector.tally import Stretch, Tally, Wanted, read

STRETCH_BYTES = 16 << 20
"""What one process reads at a time."""
MOST_PROCESSES = 8


def stretches(fd: int) -> list[Stretch]:
    """All of a file as it is now. Raises ``OSError``."""
    size = os.fstat(fd).st_size or 1  # one that has no size may have something in it all the same
    return [Stretch(fd, start, min(start + STRETCH_BYTES, size)) for start in range(0, size, STRETCH_BYTES)]


def read_all(work: Sequence[Stretch], wanted: Wanted) -> Iterable[Tally]:
    """In order, a tally for each."""
    processes = min(len(work) // 2, MOST_PROCESSES, _cores())
    if processes < 2 or sys.platform != "linux":  # elsewhere a forked child may not do everything
        return (read(stretch, wanted) for stretch in work)
    return _read_by(processes, work, wanted)


def _read_by(processes: int, work: Sequence[Stretch], wanted: Wanted) -> Iterator[Tally]:
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - most reports need none, and it loads for long
    from multiprocessing import get_context  # noqa: PLC0415 - the same

    # Forked, so that the children have the files that are open here: the names may be those of others by now.
    with ProcessPoolExecutor(processes, get_context("fork"), _leave_interrupts) as pool:
        try:
            yield from pool.map(read, work, [wanted] * len(work))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal: the one that was started is to answer it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
