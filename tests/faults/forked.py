"""Forked children by the thousand: waited for without polling, from a process that has nothing else to do."""

from __future__ import annotations

import gc
import os
import select
import signal
import struct
import traceback
from collections.abc import Callable

from tests.harness import start_child, wait_for_child

TIMEOUT_S = 60.0
RAISED, HUNG = 1, 124
_NUMBER = struct.Struct("=q")


def run_forked(run: Callable[[], object], timeout_s: float = TIMEOUT_S) -> int:
    """As ``harness.run_child``, for children that end within milliseconds."""
    pid = start_child(run)
    wait_for_end(pid, timeout_s)
    return wait_for_child(pid, timeout_s)


def wait_for_end(pid: int, timeout_s: float = TIMEOUT_S) -> None:
    """Sleep until the child has ended. It is still to be waited for; without a pidfd that is where the time goes."""
    if not hasattr(os, "pidfd_open"):
        return
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(timeout_s * 1000)
    finally:
        os.close(fd)


class Helper:
    """A child that does one kind of work whenever it is asked to. Forks whoever asks neither often nor in vain.

    ``run`` gets the number that came with the request.  It runs in the helper itself, or, where it is to be killed,
    in a child of it: that one is no child of a worker, as a real collector is none.
    """

    def __init__(self, run: Callable[[int], object], *, in_children: bool = False) -> None:
        self._run = self._run_in_child if in_children else self._run_here
        self._work = run
        asked, self._ask = os.pipe()
        self._answers, answer = os.pipe()
        self._pid = start_child(lambda: self._serve(asked, answer))
        os.close(asked)
        os.close(answer)

    def __call__(self, number: int = 0) -> int:
        """The exit code, as ``harness.run_child`` gives it; ``RAISED`` and ``HUNG`` are the others."""
        os.write(self._ask, _NUMBER.pack(number))
        if not select.select([self._answers], [], [], 2 * TIMEOUT_S)[0]:
            return HUNG
        found: int = _NUMBER.unpack(os.read(self._answers, _NUMBER.size))[0]
        return found

    def stop(self) -> None:
        """End it."""
        os.close(self._ask)
        os.close(self._answers)
        os.kill(self._pid, signal.SIGKILL)
        wait_for_child(self._pid)

    def _serve(self, asked: int, answer: int) -> None:
        gc.freeze()  # what a child's collections never visit it need not copy
        os.close(self._ask)  # or it would not see its parent go
        os.close(self._answers)
        while True:
            request = os.read(asked, _NUMBER.size)
            if not request:
                return
            os.write(answer, _NUMBER.pack(self._run(*_NUMBER.unpack(request))))

    def _run_here(self, number: int) -> int:
        try:
            self._work(number)
        except BaseException:  # noqa: BLE001 - told to whoever asked
            traceback.print_exc()
            return RAISED
        return 0

    def _run_in_child(self, number: int) -> int:
        try:
            return run_forked(lambda: self._work(number))
        except AssertionError:  # it did not end in time, and was killed
            return HUNG
