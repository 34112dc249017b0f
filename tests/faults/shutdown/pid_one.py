"""The first process of a container: a worker with two children. Ends in the ordinary way, and all with it.

python -m tests.faults.shutdown.pid_one LEDGER CALLS
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.faults.ends import leave_through_atexit
from tests.faults.offering import Ledger, Offering
from tests.harness import start_child, wait_for_child, wait_until

FIRST, ENDING, STAYING = "/pid-one", "/child-that-ends", "/child-that-stays"
PATHS = (FIRST, ENDING, STAYING)
"""What each of them calls; its place here is its slot in the ledger."""


def main(ledger: Ledger, calls: int) -> None:
    ending = start_child(lambda: end(ledger, calls))
    start_child(lambda: stay(ledger, calls))
    wait_for_child(ending)
    wait_until(lambda: ledger.counts[PATHS.index(STAYING)] == calls)
    work(ledger, FIRST, calls)


def work(ledger: Ledger, path: str, calls: int) -> None:
    offering = Offering()
    for _ in range(calls):
        assert offering.offer(path)
        ledger.add(PATHS.index(path))


def end(ledger: Ledger, calls: int) -> None:
    work(ledger, ENDING, calls)
    leave_through_atexit()


def stay(ledger: Ledger, calls: int) -> None:
    """Until the kernel ends it, with the first."""
    work(ledger, STAYING, calls)
    signal.pause()


if __name__ == "__main__":
    main(Ledger(Path(sys.argv[1]), len(PATHS)), int(sys.argv[2]))
