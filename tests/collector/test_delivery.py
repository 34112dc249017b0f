"""Lanes side by side, with real rings and a real service: turns, keys, and who registered last."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.standins import CloudStandIn, Scripted
from recost.session import Destination, Session
from recost_collector.courier import MAX_COURIERS
from tests.collector.collecting import Worker, collector, runtime, turn_until

KEY = "rc-a-good-key-0123456789abcdef"
WINDOWS = 3


@pytest.fixture
def cloud() -> Iterator[CloudStandIn]:
    with CloudStandIn(keys={KEY}) as server:
        yield server


def cloud_session(cloud: CloudStandIn, project: str = "shop", **settings) -> Session:
    return Session(Destination(f"{cloud.url}/projects/{project}/telemetry", project), **settings)


def key_files() -> list[Path]:
    return [file for file in Path(runtime()).iterdir() if file.is_file() and KEY.encode() in file.read_bytes()]


def test_with_more_destinations_than_threads_all_have_their_turn(cloud: CloudStandIn) -> None:
    """One that has much to send does not go on before the others have sent something."""
    cloud.script = lambda _: Scripted(None, delay_s=0.05)
    projects = [f"p{number}" for number in range(MAX_COURIERS + 6)]
    workers = [Worker(cloud_session(cloud, project, max_buckets=1), KEY) for project in projects]
    for worker in workers:
        for path in "abc":  # one bucket is all that a window may have
            worker.call(f"/v1/{path}")
        worker.ask_for_flush()
    with collector() as leadership:
        turn_until(leadership, lambda: all(worker.is_settled() for worker in workers), what="all windows")
    order = [received.project_id for received in cloud.received]
    assert Counter(order) == dict.fromkeys(projects, WINDOWS)
    seen: Counter[str] = Counter()
    for project in order:
        seen[project] += 1
        assert seen[project] < WINDOWS or len(seen) == len(projects), "a last one before somebody's first"
    for worker in workers:
        worker.leave()


def test_a_collector_that_finds_several_keys_uses_that_of_the_newest_ring(cloud: CloudStandIn) -> None:
    session = cloud_session(cloud)
    workers = [Worker(session, f"rc-an-old-key-{number}") for number in range(6)] + [Worker(session, KEY)]
    workers[0].call()
    workers[0].ask_for_flush()
    with collector() as leadership:
        turn_until(leadership, workers[0].is_settled, what="the window")
    assert [received.authorization for received in cloud.received] == [f"Bearer {KEY}"]
    for worker in workers:
        worker.leave()


def test_a_collector_that_takes_over_does_not_probe_a_suspended_key_but_a_new_worker_does(cloud: CloudStandIn) -> None:
    session = cloud_session(cloud, max_consecutive_auth_failures=1)
    worker = Worker(session, "rc-a-bad-key")
    worker.call()
    worker.ask_for_flush()
    with collector() as leadership:
        turn_until(leadership, worker.is_settled, what="the window to be put back")
    assert len(cloud.received) == 1
    worker.call()
    worker.ask_for_flush()
    with collector() as leadership:
        turn_until(leadership, worker.is_settled, what="the next one to be put back")
        assert len(cloud.received) == 1
        newcomer = Worker(session, "rc-a-bad-key")
        newcomer.call()
        newcomer.ask_for_flush()
        turn_until(leadership, newcomer.is_settled, what="the newcomer's")
        assert len(cloud.received) == 2
    worker.leave()
    newcomer.leave()


def test_a_key_is_kept_in_a_file_of_ours_while_it_is_needed_and_goes_with_the_collector(cloud: CloudStandIn) -> None:
    worker = Worker(cloud_session(cloud), KEY)
    worker.call()
    worker.ask_for_flush()
    with collector() as leadership:
        turn_until(leadership, worker.is_settled, what="the window")
        names = {file.name.partition("-")[0]: file.stat().st_mode & 0o777 for file in key_files()}
        assert names == {"ring": 0o600, "key": 0o600}
    assert [file.name.partition("-")[0] for file in key_files()] == ["ring"], "its ring can bring it again"
    os.unlink(key_files()[0])
    worker.leave()
