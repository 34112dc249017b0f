"""The service is down for a day of full windows, and then comes back.

The day is simulated: a real leader in this process gets its time from a clock that the row moves on, by a flush
interval at a time.  Its workers are real ones, too; what they hear once a second they hear once in such a step.  Each
attempt meets a port that nobody listens on.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from examples.standins.server import Answer, Request, StandIn
from recost._runtime import Runtime
from recost.config import RecostConfig, resolve
from recost.errors import RecostError
from recost.event import CallEvent
from recost.ring.layout import DROPPED_FULL
from recost_collector import service, status_look
from recost_collector.clock import Clock
from recost_collector.lane import Lane
from recost_collector.leading import lead
from recost_collector.spool import HEADROOM_PAGES, PAGE_BYTES, SPOOL_FILE
from tests.collector.collecting import runtime as runtime_dir
from tests.faults.load.watching import JOURNAL_KIB
from tests.faults.offering import HOST
from tests.faults.replacing import replace
from tests.faults.row import Row, Trial
from tests.harness import free_port, start_child, wait_for_child, wait_until
from tests.processes.support import Mail

PROJECTS = ("a", "b", "c")
"""Each with a worker, and so a session and a destination."""
BUCKETS = 40
CALLS = 120
"""In each window: a frame of some 11 kB."""
STEP_S = 30.0
"""The default flush interval: while older windows wait, a window closes that often."""
RECOVERY_STEP_S = 5.0
"""How the time goes on when the service is back: the next attempt may be minutes away."""
TOLD = re.compile(r"spool is full .* the oldest first: (\d+)$")
NOT_TOLD = re.compile(r"(\d+) more reports")


class Day(NamedTuple):
    """How long it is, and how much may wait meanwhile."""

    windows: int
    spool_max_bytes: int


CONTROL = Day(windows=60, spool_max_bytes=1 << 20)


class Time:
    """What the collector takes for the time: the machine's, so many seconds ahead."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def go_on(self, seconds: float) -> None:
        self._ahead_s += seconds

    def read(self) -> Clock:
        return Clock(time.monotonic() + self._ahead_s, time.time_ns() + int(self._ahead_s * 1e9))


class Worker:
    """A worker of one project, with what its ``on_error`` was told."""

    def __init__(self, project: str, base_url: str, day: Day) -> None:
        self.project = project
        self.heard: list[Exception] = []
        settings = RecostConfig(
            api_key="rc-outage",
            project_id=project,
            base_url=base_url,
            collector="external",
            normalize_paths=False,
            spool_max_bytes=day.spool_max_bytes,
            on_error=self.heard.append,
        )
        self._runtime = Runtime(resolve(settings, {}, os.environ))

    def fill_window(self, number: int, at_ns: int) -> None:
        """The calls of one window; their paths tell which it is. The ring has room for them, or this fails."""
        for call in range(CALLS):
            path = f"/{number}/endpoint-{call % BUCKETS}"
            self._runtime.record(CallEvent(at_ns, 1_000_000 + call, "POST", "https", HOST, path, 200, 100, 1000))
        assert self._runtime.ring is not None
        assert not self._runtime.ring.words[DROPPED_FULL]

    def listen(self) -> None:
        """What the watcher thread does once a second."""
        self._runtime.recorder.look()

    def leave(self) -> None:
        self._runtime.dispose(0)

    @property
    def told_dropped(self) -> int:
        """Windows that ``on_error`` was told of as dropped."""
        found = [TOLD.search(str(error)) for error in self.heard if type(error) is RecostError]
        return sum(int(match[1]) for match in found if match)


class Telemetry(StandIn):
    """Takes every frame. Counts the calls by project and window, each frame once."""

    def __init__(self, port: int) -> None:
        super().__init__(self._answer, [("127.0.0.2", port)])
        self.calls: dict[str, Counter[int]] = {project: Counter() for project in PROJECTS}
        self._seen: set[str] = set()

    async def _answer(self, request: Request) -> Answer:
        key = request.headers["idempotency-key"]
        if key not in self._seen:
            self._seen.add(key)
            calls = self.calls[request.path.split("/")[-2]]
            for metric in json.loads(request.body)["metrics"]:
                calls[int(metric["endpoint"].split("/")[1])] += metric["requestCount"]
        return Answer(202)


class Outage:
    """A leader, its workers, and a service that is not there."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self._time = Time()
        replace(service, "read_clock", self._time.read)
        self._service = Telemetry(free_port("127.0.0.2"))
        host, port = self._service.addresses[0]
        self._workers = [Worker(project, f"http://{host}:{port}", day) for project in PROJECTS]
        leadership = lead(runtime_dir(), "thread", 5.0)
        assert leadership is not None
        self._leadership = leadership
        self.most_spool_kib = self.most_journal_kib = 0

    def last(self, tried: Callable[[], None]) -> None:
        """Let the day pass and the service come back."""
        for number in range(self._day.windows):
            for worker in self._workers:
                worker.fill_window(number, self._time.read().wall_ns)
            self._turn()
            self._time.go_on(STEP_S)
            self._turn()
            for worker in self._workers:
                worker.listen()
            self._measure()
            tried()
        with self._service:
            wait_until(self._has_delivered, 120, "everything that waits to be delivered")
            for worker in self._workers:
                worker.listen()
                worker.leave()
            self._leadership.finish(5.0)

    def wrong(self) -> Iterator[str]:
        """What does not hold."""
        bound_kib = (self._day.spool_max_bytes + HEADROOM_PAGES * PAGE_BYTES) >> 10
        if self.most_spool_kib > bound_kib or self.most_journal_kib > JOURNAL_KIB:
            yield f"the spool took {self.most_spool_kib} KiB and its journal {self.most_journal_kib}, bound {bound_kib}"
        counted = {found.destination.split("/")[-2]: found.dropped for found in status_look.gather().destinations}
        for worker in self._workers:
            calls = self._service.calls[worker.project]
            yield from self._wrong_calls(worker.project, calls)
            missing = self._day.windows - len(calls)
            if not 0 < missing == counted[worker.project] == worker.told_dropped:
                yield (
                    f"{worker.project}: {missing} windows are missing, status counts {counted[worker.project]}, "
                    f"on_error was told of {worker.told_dropped}"
                )
            yield from (f"{worker.project}: {error}" for error in worker.heard if NOT_TOLD.search(str(error)))

    @property
    def dropped(self) -> int:
        return sum(self._day.windows - len(calls) for calls in self._service.calls.values())

    def _wrong_calls(self, project: str, calls: Counter[int]) -> Iterator[str]:
        """Each window is there whole, or not at all; and those that are not are the oldest."""
        odd = {number: count for number, count in calls.items() if count != CALLS}
        if odd:
            yield f"{project}: windows with other than {CALLS} calls: {odd}"
        first_kept = self._day.windows - len(calls)
        early = [number for number in calls if number < first_kept]
        if len(early) > 1:  # one may have been under way when it was its turn to be dropped
            yield f"{project}: {len(early)} windows outlived younger ones, of the first {first_kept}"

    def _has_delivered(self) -> bool:
        self._time.go_on(RECOVERY_STEP_S)
        self._turn()
        self._leadership.wake.wait(0.01)
        return not any(lane.frames for lane in self._leadership.service.delivery.lanes.values())

    def _turn(self) -> None:
        self._leadership.turn(self._time.read().now)

    def _measure(self) -> None:
        spool = os.path.join(self._leadership.state_dir, SPOOL_FILE)
        self.most_spool_kib = max(self.most_spool_kib, os.stat(spool).st_size >> 10)
        self.most_journal_kib = max(self.most_journal_kib, os.stat(f"{spool}-wal").st_size >> 10)


def run(trial: Trial) -> None:
    """A day, or in the quick form an hour; then a control that drops the youngest first."""
    trial.controlled("dropping the oldest first", _wrong_with_youngest_first(trial), len(PROJECTS))
    day = trial.size(Day(120, 1 << 20), Day(24 * 3600 // int(STEP_S), 8 << 20))
    trial.plan(day.windows)
    trial.place().enter()
    outage = Outage(day)
    outage.last(trial.tried)
    for wrong in outage.wrong():
        trial.violated(wrong)
    trial.figure(f"{day.windows * STEP_S / 3600:.1f} h, {day.windows * len(PROJECTS):,} windows")
    trial.figure(f"{outage.dropped:,} dropped, as status and on_error say")
    most = f"spool {outage.most_spool_kib >> 10} MiB, journal {outage.most_journal_kib >> 10} MiB"
    trial.figure(f"{most} at most, spool_max_bytes {day.spool_max_bytes >> 20} MiB")


def _wrong_with_youngest_first(trial: Trial) -> int:
    """How much of a small outage is wrong then."""
    trial.place().enter()
    mail = Mail()

    def suffer() -> None:
        Lane.oldest = lambda lane: lane.frames[-1] if lane.frames else None  # type: ignore[assignment]
        outage = Outage(CONTROL)
        outage.last(lambda: None)
        mail.put(str(len(list(outage.wrong()))).encode())

    wait_for_child(start_child(suffer))
    return int(mail.take()) if mail.is_there else 0


ROWS = [
    Row(
        "outage",
        "the service is down for a day: disk is bounded, the oldest windows go first, each drop is counted and told",
        run,
        limit_s=(60.0, 600.0),
    )
]
