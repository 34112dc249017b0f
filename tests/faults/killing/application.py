"""A program with a worker's ring, in a process of its own, that must never notice what becomes of the collector."""

from __future__ import annotations

import os

from tests.faults.forked import wait_for_end
from tests.faults.killing import one_collect
from tests.faults.offering import Offering
from tests.faults.row import Place
from tests.harness import start_child, wait_for_child

STDERR = 2


class Application:
    """It calls, watches its collector through its link, calls again when it is told to, and ends."""

    def __init__(self, place: Place) -> None:
        """Returns when the first calls are published."""
        self._said = place.home / "stderr"
        began, begin = os.pipe()
        wait, self._go_on = os.pipe()
        self._pid = start_child(lambda: self._run(begin, wait))
        os.close(begin)
        os.close(wait)
        os.read(began, 1)
        os.close(began)

    def end(self) -> list[str]:
        """Let it make its last calls. Returns what it noticed, in words: nothing."""
        os.write(self._go_on, b".")
        os.close(self._go_on)
        wait_for_end(self._pid)
        code = wait_for_child(self._pid)
        said = self._said.read_text(errors="replace")
        found = [f"the application ended with {code}"] if code else []
        return [*found, f"the application printed {said[-300:]!r}"] if "Traceback" in said else found

    def _run(self, begin: int, wait: int) -> None:
        os.dup2(os.open(self._said, os.O_WRONLY | os.O_CREAT, 0o600), STDERR)
        offering = Offering(
            project_id=one_collect.PROJECT,
            collector="external",  # the collectors of the row are to be the only ones
            ring_bytes=1 << 16,
            max_buckets=one_collect.MAX_BUCKETS,
            local_file_max_bytes=one_collect.FILE_MAX_BYTES,
        )
        first, *others = one_collect.EARLY
        assert offering.runtime.record(one_collect.event_of(first))  # makes the ring, starts the watcher
        one_collect.offer(offering.writer, others)
        os.write(begin, b".")
        os.read(wait, 1)
        one_collect.offer(offering.writer, one_collect.LATE)
        offering.runtime.dispose(0)
