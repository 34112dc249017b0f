"""A ring whose file another program removed: its living owner makes it again, and nothing in it is lost or doubled."""

from __future__ import annotations

import os

from recost.ring.files import remake_ring
from recost.ring.layout import CLOSED, HEAD, HEARTBEAT, RECORDS, TAIL, seed_of
from recost.ring.sentinel import new_sentinel
from recost.ring.writer import Writer
from tests.collector.collecting import Worker, collector, file_session, runtime, total, turn_until


def _make_again(worker: Worker) -> None:
    """What the worker's own look does, step by step, up to letting the old lock go."""
    worker.writer.close()
    worker.ring = remake_ring(worker.ring)
    worker.ring.words[TAIL], worker.ring.words[RECORDS] = worker.writer.published
    worker.writer = Writer(worker.ring.words, worker.ring.data, seed_of(worker.ring.header.ring_id), new_sentinel())


def test_the_collector_goes_on_in_the_new_file_where_it_was() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        worker.calls(5)
        turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="the first calls")
        worker.calls(4)
        old = worker.ring
        os.unlink(old.path)
        worker.calls(3)
        _make_again(worker)
        old.words[CLOSED] = 1
        os.close(old.lock_fd)
        worker.calls(2)
        turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="the rest")
        assert list(leadership.service.rings.sources) == [worker.name]
        beat = worker.ring.words[HEARTBEAT]
        turn_until(leadership, lambda: worker.ring.words[HEARTBEAT] > beat, what="a beat in the new file")
        worker.leave()
        turn_until(leadership, lambda: not leadership.service.rings.sources, what="the ring to go")
        turn_until(leadership, lambda: total() == 14, what="every call once")
    assert total() == 14
    assert not [name for name in os.listdir(runtime()) if name.startswith("ring-")]


def test_the_next_collector_goes_on_where_the_last_one_was() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        worker.calls(5)
        turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="the first calls")
    worker.calls(4)
    os.unlink(worker.ring.path)
    with collector() as leadership:
        leadership.turn(0.0)
        worker.calls(3)
        old = worker.ring
        _make_again(worker)
        os.close(old.lock_fd)
        worker.leave()
        turn_until(leadership, lambda: total() == 12, what="every call once")
    assert total() == 12


def test_a_free_lock_of_the_old_file_says_nothing_of_the_owner() -> None:
    """It is let go after the new file is there; a look may come in between."""
    worker = Worker(file_session())
    with collector() as leadership:
        turn_until(leadership, lambda: leadership.service.rings.sources, what="the ring")
        old = worker.ring
        os.unlink(old.path)
        _make_again(worker)
        os.close(old.lock_fd)
        leadership.service.rings.probe_owners()
        assert not leadership.service.rings.sources[worker.name].owner_gone
        worker.leave()
