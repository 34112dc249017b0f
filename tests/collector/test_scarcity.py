"""Few descriptors, and a spool at its bound: the collector goes on."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator

import pytest

from recost.ring.notices import read_notices
from recost.session import Session
from recost_collector.changes import Changes, Part, StoredFrame
from recost_collector.leading import lead
from recost_collector.spool import Spool, SpoolTrouble
from recost_collector.status_look import gather
from recost_collector.wake import Wake
from tests.collector.collecting import Worker, collector, file_session, runtime, total, turn_until


def test_the_pipe_is_heard_with_a_high_descriptor() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("the limit of open files cannot be raised so far")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    filler = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        wake = Wake(runtime())
        assert wake.fd >= 1024
        wake.call()
        started = time.monotonic()
        wake.wait(60.0)
        assert time.monotonic() - started < 30
        wake.wait(0.01)
        wake.close()
    finally:
        for fd in filler:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_ring_that_no_descriptor_is_left_for_is_opened_later() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with collector() as leadership:
        rings = leadership.service.rings
        worker = Worker(file_session())
        lowest = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            assert rings.scan(time.monotonic()) == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert not rings.refused
        worker.calls(2)
        worker.leave()
        turn_until(leadership, lambda: total() == 2, what="the calls")


def test_a_disk_that_is_full_now_and_then_is_told_of_once() -> None:
    """Not each time that a small commit gets through in between."""
    worker = Worker(file_session())
    with collector() as leadership:
        for full in (True, False, True, False):
            with no_room() if full else contextlib.nullcontext():
                worker.call()
                turn_until(leadership, lambda: bool(leadership.service.spool_trouble) is full, what="a commit")  # noqa: B023 - called within the turn
        worker.leave()
        turn_until(leadership, lambda: total() == 4, what="the calls")
    heard = read_notices(worker.ring, 0).notices
    assert [(notice.kind, "cannot write its spool" in notice.message) for notice in heard] == [("degraded", True)]


def test_a_spool_that_cannot_be_written_is_seen_by_status_and_forgotten_when_it_can() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        with no_room(beyond=2048):  # nothing grows to that but the spool
            worker.call()
            turn_until(leadership, lambda: leadership.service.spool_trouble, what="the trouble")
            leadership.turn(0.0)
        (found,) = [problem for problem in gather().problems if "the spool cannot be written" in problem]
        assert "recost-collector doctor" in found
        turn_until(leadership, lambda: not leadership.service.spool_trouble, what="a commit")
        leadership.turn(0.0)
        assert "the spool" not in " ".join(gather().problems)
        worker.leave()


@contextlib.contextmanager
def no_room(beyond: int = 1) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _fill(spool: Spool, session: Session, rings: list[str]) -> list[StoredFrame]:
    """Frames with events of many rings, waiting, until the spool takes no more."""
    filled = []
    for count, parts in ((50, rings), (1, rings), (1, rings[:1])):
        while True:
            ids = [spool.next_frame_id() for _ in range(count)]
            changes = Changes()
            changes.new_frames = [
                StoredFrame(
                    *(number, session.destination.id, session.id, f"{number:032x}", b"{}", "1", 3, 0, 2),
                    parts=tuple(Part(ring, number, number + 1) for ring in parts),
                )
                for number in ids
            ]
            try:
                spool.commit(changes)
            except SpoolTrouble:
                break
            filled += changes.new_frames
    return filled


def test_a_spool_at_its_bound_drops_the_oldest_and_goes_on() -> None:
    leadership = lead(runtime(), "thread", 1.0)
    assert leadership is not None
    session = file_session(spool_max_bytes=1 << 20)
    worker = Worker(session)
    turn_until(leadership, lambda: leadership.service.rings.sources, what="the ring")
    leadership.service.ask(lambda _changes: None)
    leadership.turn(time.monotonic())
    lane = leadership.service.delivery.lanes[session.destination.id]
    lane.standing.state.wait_ms = 600_000  # nothing goes out for now
    lane.standing.state.wait_until_ms = time.time_ns() // 1_000_000 + 600_000
    for frame in _fill(leadership._spool, session, [f"{number:032x}" for number in range(500)]):
        lane.add(frame)
        frame.settled = True
    for number in range(400):
        worker.call(f"/v1/{'x' * 60}{number}", host=f"{number}.example.com")
    worker.ask_for_flush()

    turn_until(leadership, worker.is_settled, what="the flush")

    assert lane.state.dropped
    assert not leadership.service.spool_trouble
    worker.leave()
    leadership.give_back()
