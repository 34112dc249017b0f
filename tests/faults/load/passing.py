"""Sessions that come and go, each with a project and so a destination of its own: what the collector keeps of them.

A worker here is a ring and its owner's lock, without a process: two processes make thousands.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path

from examples.standins.server import Answer, Request, StandIn
from recost.ring.files import RING_PREFIX
from recost.ring.layout import CLOSED
from recost.session import Destination, Session
from recost_collector.delivery import MAX_UNUSED, Delivery
from recost_collector.exporters import INTENT
from recost_collector.keys import PREFIX as KEY_PREFIX
from recost_collector.spool import SPOOL_FILE
from tests.collector.collecting import Worker, file_session, spool_dir
from tests.faults.load.loading import Load, Look, collector_without, grown, judge
from tests.faults.load.watching import WAITING, Growth, Watched, count_rows
from tests.faults.offering import Ledger
from tests.faults.row import Place, Trial
from tests.faults.spawning import start_collector
from tests.harness import wait_until
from tests.processes.support import rings, wait_until_idle

CALLS = 3
"""In each session."""
MOST_WAITING = 120
"""Rings and windows that may wait before more are made: the row is about what stays behind, not about a backlog."""
TOGETHER = 10
"""Sessions that are made between two looks at what waits."""
PARTS = (4, 10)
"""Quick and full: after each part of the sessions there is a look, when all that they left is worked in."""
CALM_S = 20.0
CONTROL_CALM_S = 1.0
"""In the control it never is calm."""
BOUND = Growth(4096, descriptors=4, files=2, state_files=MAX_UNUSED, kept_rows=2, waiting_rows=2, spool_kib=512)
"""Of the destinations that are remembered, more or fewer are files, which have one in the state directory."""


def come_and_go(url: str, numbers: range, ledger: Ledger, slot: int) -> None:
    """A worker after the other, each with a project of its own: it publishes a few calls and is gone."""
    for number in numbers:
        if number % TOGETHER == 0:
            wait_until(lambda: _waiting() < MOST_WAITING, 60, "the collector to keep up")
        project = f"p{slot}-{number}"
        if number % 3:
            worker = Worker(file_session(project, flush_interval_ms=100 + number))
        else:
            destination = Destination(f"{url}/projects/{project}/telemetry", project)
            worker = Worker(Session(destination, max_batch_size=1 + number % 5), api_key=f"rc-{project}")
        assert worker.calls(CALLS) == CALLS
        worker.ring.words[CLOSED] = number % 4 > 0  # one in four ends as if it were killed
        worker.leave()
        ledger.add(slot)


def _waiting() -> int:
    return len(rings()) + count_rows(spool_dir() / SPOOL_FILE, WAITING[:1])


class Telemetry(StandIn):
    """Takes every frame; counts the calls in them, each frame once."""

    def __init__(self) -> None:
        super().__init__(self._answer, [("127.0.0.2", 0)])
        self._calls: dict[str, int] = {}

    @property
    def url(self) -> str:
        host, port = self.addresses[0]
        return f"http://{host}:{port}"

    @property
    def calls(self) -> int:
        return sum(self._calls.values())

    async def _answer(self, request: Request) -> Answer:
        metrics = json.loads(request.body)["metrics"]
        self._calls[request.headers["idempotency-key"]] = sum(metric["requestCount"] for metric in metrics)
        return Answer(202)


def run(trial: Trial) -> None:
    """Each session is there for a moment; the control remembers every destination."""
    parts, count = trial.size(*PARTS), trial.size(60, 250)
    trial.plan(parts * 2 * count)
    with Telemetry() as service:
        load = Load(trial, 2)
        start_collector()
        looks, leads = _look_after_each(load, service.url, [count] * parts, CALM_S, trial.tried)
        trial.check(leads, "the collector was replaced although nobody killed it")
        Worker(file_session("last", collector_idle_exit_s=1.5)).leave()  # time to forget once more
        wait_until_idle()
        judge(trial, looks, BOUND, ("1,000 sessions", 1000), parts)
        for left in left_behind(load.place):
            trial.violated(left)
        made, arrived = CALLS * load.ledger.total, service.calls + in_files(load.place)
        trial.check(arrived == made, f"{made} calls were acknowledged, {arrived} delivered")
        load = Load(trial, 2)
        with collector_without(forgetting):
            looks, _ = _look_after_each(load, service.url, [20] * PARTS[0], CONTROL_CALM_S)
        wrong = [*grown(looks, BOUND, PARTS[0]), *left_behind(load.place)]
        trial.controlled("forgetting destinations", len(wrong), len(BOUND) + 6)


def _look_after_each(
    load: Load, url: str, parts: list[int], calm_s: float, tried: Callable[[int], None] = lambda _: None
) -> tuple[list[Look], bool]:
    """The looks, and whether it was one collector all the time. ``parts``: so many sessions of each child."""
    looks = []
    watched = Watched()
    first = 0
    for count in parts:
        load.do(functools.partial(come_and_go, url, range(first, first + count)))
        looks.append(Look(watched.look_when_calm(MAX_UNUSED, calm_s), load.ledger.total))
        tried(2 * count)
        first += count
    return looks, watched.leads


def in_files(place: Place) -> int:
    """Calls in the local files of all projects."""
    lines = (line for path in place.local.glob("*.jsonl") for line in path.read_text().splitlines())
    return sum(metric["requestCount"] for line in lines for metric in json.loads(line)["metrics"])


def left_behind(place: Place) -> list[str]:
    """What should not be there any more when everybody has gone."""
    spool = spool_dir()
    found = {
        "rings": _count(place.runtime, RING_PREFIX),
        "keys": _count(place.runtime, KEY_PREFIX),
        "intents": len(list(spool.glob(f"*{INTENT}*"))) - MAX_UNUSED,
        "destinations": count_rows(spool / SPOOL_FILE, ["destinations"]) - MAX_UNUSED,
        "sessions": count_rows(spool / SPOOL_FILE, ["sessions"]),
        "waiting rows": count_rows(spool / SPOOL_FILE, WAITING),
    }
    return [f"{number} {what} are left behind" for what, number in found.items() if number > 0]


def _count(folder: Path, prefix: str) -> int:
    return sum(name.startswith(prefix) for name in os.listdir(folder))


def forgetting() -> None:
    Delivery.forget_unused = lambda *_: None  # type: ignore[method-assign]
