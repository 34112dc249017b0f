"""Threads that carry frames to destinations, one frame at a time each, and bring outcomes back to the loop.

The loop decides what goes when (``lane``) and commits what came of it; a courier only calls its exporter.  A dead
host therefore holds up its own lane and nobody else.
"""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional, Union

from recost.capture import suppressed
from recost.notice import Notice
from recost.session import Destination
from recost_collector.exporters import Exporter, Frame, Lease, Reject, Retry, forget, open_exporter

MAX_COURIERS = 16

logger = logging.getLogger("recost_collector")


class Outcome(NamedTuple):
    """What became of one attempt. ``result`` is None when the frame is there."""

    destination_id: str
    frame_id: int
    result: Union[Retry, Reject, None]


class Job(NamedTuple):
    frame_id: int
    frame: Frame


class Courier:
    """A thread with one exporter for one destination; in an exiting interpreter, which starts none, no thread."""

    def __init__(self, destination: Destination, lease: Lease, report: Callable[[Outcome], None]) -> None:
        self.destination = destination
        self.busy = False
        self._lease = lease
        self._report = report
        self._exporter: Optional[Exporter] = None
        self._jobs: queue.SimpleQueue[Optional[Job]] = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = self._start()

    def send(self, job: Job) -> None:
        self.busy = True
        if self._thread is None:
            self._attempt(job)
        else:
            self._jobs.put(job)

    def stop(self) -> None:
        """End after what is under way. Does not wait."""
        if self._thread is None:
            self._close()
        else:
            self._jobs.put(None)

    def join(self, timeout_s: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _start(self) -> Optional[threading.Thread]:
        thread = threading.Thread(target=self._run, name=f"recost-courier-{self.destination.id[:6]}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return None
        return thread

    def _run(self) -> None:
        with suppressed():  # in the in-process mode the application's clients are patched, and this one is ours
            for job in iter(self._jobs.get, None):
                self._attempt(job)
            self._close()

    def _attempt(self, job: Job) -> None:
        result: Union[Retry, Reject, None] = None
        try:
            if self._exporter is None:
                self._exporter = open_exporter(self.destination, self._lease)
            self._exporter.export(job.frame)
        except (Retry, Reject) as outcome:
            result = outcome
        except Exception as exc:  # noqa: BLE001 - at the edge of one window a fault sets that one aside
            result = _set_aside(job.frame, exc)
        self._report(Outcome(self.destination.id, job.frame_id, result))

    def _close(self) -> None:
        if self._exporter is not None:
            self._exporter.close()


class Couriers:
    """At most ``MAX_COURIERS`` threads. The loop's alone, but for the queue that they fill."""

    def __init__(self, lease: Lease, wake: Callable[[], None]) -> None:
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._lease = lease
        self._wake = wake
        self._couriers: dict[str, Courier] = {}

    def has_room(self, destination_id: str) -> bool:
        """True when a frame for this destination would go out at once."""
        courier = self._couriers.get(destination_id)
        if courier is not None:
            return not courier.busy
        return len(self._couriers) < MAX_COURIERS or any(not other.busy for other in self._couriers.values())

    def send(self, destination: Destination, job: Job) -> None:
        """Hand a frame to the destination's courier. Only after ``has_room``."""
        courier = self._couriers.get(destination.id)
        if courier is not None and courier.destination != destination:  # other proxies, another CA bundle
            self._retire(destination.id)
            courier = None
        if courier is None:
            courier = self._hire(destination)
        courier.send(job)

    def taken(self) -> list[Outcome]:
        """The outcomes since the last call."""
        outcomes: list[Outcome] = []
        while True:
            try:
                outcome = self._outcomes.get_nowait()
            except queue.Empty:
                return outcomes
            courier = self._couriers.get(outcome.destination_id)
            if courier is not None:
                courier.busy = False
            outcomes.append(outcome)

    def retire_idle(self, wanted: frozenset[str]) -> None:
        """End the couriers of destinations that nobody uses any more."""
        for name in [name for name, courier in self._couriers.items() if not courier.busy and name not in wanted]:
            self._retire(name)

    def forget(self, destination_ids: Iterable[str]) -> None:
        """Remove what exporters noted down about these. Only when it is committed that nothing waits for them."""
        forget(destination_ids, self._lease)

    def close(self, timeout_s: float) -> None:
        """End all couriers, waiting up to ``timeout_s`` in all for attempts under way."""
        couriers = list(self._couriers.values())
        for name in list(self._couriers):
            self._retire(name)
        for courier in couriers:
            courier.join(timeout_s / len(couriers))

    def _hire(self, destination: Destination) -> Courier:
        if len(self._couriers) >= MAX_COURIERS:
            self._retire(next(name for name, courier in self._couriers.items() if not courier.busy))
        courier = self._couriers[destination.id] = Courier(destination, self._lease, self._put)
        return courier

    def _retire(self, name: str) -> None:
        self._couriers.pop(name).stop()

    def _put(self, outcome: Outcome) -> None:
        self._outcomes.put(outcome)
        self._wake()


def _set_aside(frame: Frame, exc: Exception) -> Reject:
    """At the edge of one window a fault sets that one aside; it never ends the thread."""
    trace = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    if frame.api_key:  # whatever library it came from, its text may quote a header
        trace = trace.replace(frame.api_key, "…")
    logger.error("an exporter failed in a way it should not; the frame is parked: frame=%s\n%s", frame.key, trace)
    return Reject(Notice("parked", f"a fault in recost, the window is set aside: {type(exc).__name__}"))
