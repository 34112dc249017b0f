"""What the collector makes of the files in its runtime directory."""

from __future__ import annotations

import os
import random
import shutil
import struct
import time
import zlib
from pathlib import Path

import pytest

from recost.ring.files import RING_PREFIX, UNFINISHED_PREFIX
from recost.ring.layout import (
    FLUSHED_THROUGH,
    HEAD,
    HEADER_WORDS,
    HEARTBEAT,
    PAGE,
    RECORDS,
    SESSION_BLOCK,
    TAIL,
    WORD,
    record_bytes,
)
from recost_collector import drain
from recost_collector.service import DRAIN_BYTES
from tests.collector.collecting import Worker, collector, counted, file_session, runtime, total, turn_until


def _rings() -> list[str]:
    return [name for name in os.listdir(runtime()) if name.startswith(RING_PREFIX)]


def _patch_header(path: Path, word: int, value: int, *, keep_checksum: bool) -> None:
    page = bytearray(path.read_bytes())
    struct.pack_into("=Q", page, word * WORD, value)
    if keep_checksum:
        struct.pack_into("=Q", page, (HEADER_WORDS - 1) * WORD, zlib.crc32(page[: (HEADER_WORDS - 1) * WORD]))
    path.write_bytes(page)


def test_the_ring_of_a_dead_worker_is_emptied_and_removed() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        worker.calls(10)
        worker.leave()
        turn_until(leadership, lambda: not _rings(), what="the ring to go")
        turn_until(leadership, lambda: total() == 10, what="its calls")


def test_a_ring_that_comes_within_the_same_tick_of_the_clock_is_found_without_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drain, "CLOCK_TICK_NS", 10**18)  # however slow this machine is
    monkeypatch.setattr(drain, "RESCAN_S", 600.0)
    with collector() as leadership:
        sources = leadership.service.rings.sources
        first = Worker(file_session())
        leadership.turn(0.0)
        assert len(sources) == 1
        found = os.stat(runtime())
        second = Worker(file_session())
        os.utime(runtime(), ns=(found.st_atime_ns, found.st_mtime_ns))
        leadership.turn(0.0)
        assert len(sources) == 2
        for worker in (first, second):
            worker.leave()


def test_a_living_worker_sees_the_collectors_heartbeat_move() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        turn_until(leadership, lambda: worker.ring.words[HEARTBEAT], what="a beat")
        before = worker.ring.words[HEARTBEAT]
        turn_until(leadership, lambda: worker.ring.words[HEARTBEAT] > before, what="the next beat")
    worker.leave()


def test_a_turn_ends_in_time_however_much_waits_and_the_next_one_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recost_collector.service.DRAIN_S", 0.0)
    workers = [Worker(file_session(), capacity=1 << 20) for _ in range(3)]
    for worker in workers:
        while worker.call():
            pass
    with collector() as leadership:
        for expected in (1, 2, 3):
            leadership.turn(time.monotonic())
            read = [source.reader.cursor.position for source in leadership.service.rings.sources.values()]
            assert len([position for position in read if position]) == expected
            assert max(read) <= DRAIN_BYTES
        for worker in workers:
            worker.leave()
        turn_until(leadership, lambda: not _rings(), what="the rings to go")
    assert total() == sum(worker.ring.words[RECORDS] for worker in workers)


def test_what_a_dead_worker_never_finished_is_counted_before_its_ring_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the turn in which it is found dead ends before it is looked at."""
    monkeypatch.setattr("recost_collector.service.DRAIN_S", 0.0)
    busy, torn = Worker(file_session(), capacity=1 << 20), Worker(file_session())
    torn.calls(3)
    torn.ring.words[RECORDS] += 1  # as if the tail had not become visible
    with collector() as leadership:
        turn_until(leadership, lambda: torn.ring.words[HEAD] == torn.writer.tail, what="the calls")
        while busy.call():
            pass
        torn.leave()
        turn_until(leadership, lambda: not Path(torn.ring.path).exists(), what="the ring to go")
        assert counted("lost", leadership) == 1
        busy.leave()


@pytest.mark.parametrize("size", [0, 7, 4096, 70000])
def test_random_bytes_are_refused_told_and_left_alone(size: int) -> None:
    path = Path(runtime()) / f"{RING_PREFIX}{'0' * 32}"
    path.write_bytes(random.Random(size).randbytes(size))
    worker = Worker(file_session())
    with collector() as leadership:
        worker.calls(3)
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the healthy ring")
        assert path.name in leadership.service.rings.refused
    assert path.exists()
    assert total() == 3
    worker.leave()
    path.unlink()


@pytest.mark.parametrize(
    ("word", "value", "keep_checksum"),
    [
        (1, 1, True),  # byte order
        (2, 2 << 32, True),  # a newer major: somebody else's
        (3, 1 << 40, True),  # capacity
        (3, 12345, True),
        (4, 0, True),  # data offset
        (5, 1 << 50, True),  # session block
        (6, 0, True),  # checksum of the session block
        (11, 77, False),  # anything without its checksum
    ],
)
def test_an_absurd_header_is_refused(word: int, value: int, keep_checksum: bool) -> None:
    worker = Worker(file_session())
    worker.calls(3)
    path = Path(worker.ring.path)
    _patch_header(path, word, value, keep_checksum=keep_checksum)

    with collector() as leadership:
        leadership.turn(0.0)
        assert list(leadership.service.rings.refused) == [path.name]
    assert path.exists()
    worker.leave()
    path.unlink()


def test_a_copy_of_a_living_ring_is_refused_and_the_ring_stays() -> None:
    """Nobody holds the copy's lock: it would pass for the ring of a dead worker, under the same id."""
    worker = Worker(file_session())
    worker.calls(3)
    copy = Path(runtime()) / f"{RING_PREFIX}copy"
    shutil.copy(worker.ring.path, copy)
    with collector() as leadership:
        turn_until(leadership, lambda: leadership.service.rings.refused, what="the copy to be met")
        worker.calls(2)
        worker.ask_for_flush()
        turn_until(leadership, lambda: total() >= 5, what="the calls")
        assert leadership.service.rings.refused == {copy.name: "a copy of another ring"}
        assert os.path.exists(worker.ring.path)
        copy.unlink()
        worker.leave()
    assert total() == 5


def test_a_newer_minor_is_read() -> None:
    worker = Worker(file_session())
    worker.calls(3)
    _patch_header(Path(worker.ring.path), 2, (1 << 32) + 9, keep_checksum=True)
    worker.leave()
    with collector() as leadership:
        turn_until(leadership, lambda: total() == 3, what="its calls")


def test_a_ring_of_an_earlier_boot_is_discarded_and_counted() -> None:
    worker = Worker(file_session())
    worker.calls(3)
    _patch_header(Path(worker.ring.path), 9, 1, keep_checksum=True)
    worker.leave()
    with collector() as leadership:
        leadership.turn(0.0)
        assert leadership.service.rings.discarded == 1
    assert total() == 0
    assert not _rings()


def test_a_session_block_that_says_nothing_sets_its_ring_aside() -> None:
    worker = Worker(file_session())
    path = Path(worker.ring.path)
    page = bytearray(path.read_bytes())
    length = worker.ring.header.session_bytes
    page[SESSION_BLOCK : SESSION_BLOCK + length] = b"\xc1" * length
    path.write_bytes(page)
    _patch_header(path, 6, zlib.crc32(b"\xc1" * length), keep_checksum=True)

    with collector() as leadership:
        leadership.turn(0.0)
        assert list(leadership.service.rings.refused) == [path.name]
    worker.leave()
    path.unlink()


def test_a_ring_overwritten_with_random_bytes_ends_nobody_and_counts_nothing_twice() -> None:
    worker, healthy = Worker(file_session()), Worker(file_session())
    with collector() as leadership:
        worker.calls(5)
        turn_until(leadership, lambda: worker.ring.words[TAIL] and leadership.service.rings.sources, what="the ring")
        worker.ring.memory[PAGE:] = random.Random(1).randbytes(len(worker.ring.memory) - PAGE)
        worker.ring.words[TAIL] = (1 << 50) + 8
        healthy.calls(4)
        healthy.ask_for_flush()
        turn_until(leadership, healthy.is_settled, what="the healthy ring")
        worker.leave()
        turn_until(leadership, lambda: len(_rings()) == 1, what="the broken ring to go")
    assert 4 <= total() <= 9
    healthy.leave()


def test_a_torn_record_costs_itself_and_is_kept_for_diagnosis() -> None:
    worker = Worker(file_session())
    worker.calls(3)
    size = worker.writer.tail // 3
    assert size == record_bytes(size - 16)
    worker.ring.data[size + 20] ^= 0xFF
    worker.leave()
    with collector() as leadership:
        turn_until(leadership, lambda: not _rings(), what="the ring to go")
        turn_until(leadership, lambda: total() == 1, what="the first call")
        assert (Path(leadership.state_dir) / "quarantine.bin").stat().st_size == 2 * size
        assert counted("lost", leadership) == 2


def test_the_temporary_file_of_a_worker_that_died_while_making_its_ring_goes() -> None:
    old, young = (Path(runtime()) / f"{UNFINISHED_PREFIX}{letter * 32}" for letter in "ab")
    for path in (old, young):
        path.write_bytes(b"")
    os.utime(old, (1, 1))
    with collector() as leadership:
        turn_until(leadership, lambda: not old.exists(), what="the old one to go")
        assert young.exists()
    young.unlink()


def test_a_flush_settles_once_the_window_is_delivered() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        worker.calls(5)
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the flush")
        assert total() == 5
        assert worker.ring.words[FLUSHED_THROUGH] == worker.writer.tail
    worker.leave()


def test_a_flush_of_one_worker_settles_the_others_part_too() -> None:
    """They share the session's window: it closes for both."""
    one, other = Worker(file_session()), Worker(file_session())
    with collector() as leadership:
        one.calls(5)
        other.calls(6)
        turn_until(leadership, lambda: all(ring.words[HEARTBEAT] for ring in (one.ring, other.ring)), what="both")
        one.ask_for_flush()
        turn_until(leadership, one.is_settled, what="the flush")
        turn_until(leadership, other.is_settled, what="the other's part")
    assert total() == 11
    one.leave()
    other.leave()


@pytest.mark.parametrize("head", [8, 1 << 50, (1 << 64) - 1])
def test_a_ring_whose_head_was_overwritten_before_anybody_met_it_is_read_from_its_beginning(head: int) -> None:
    worker = Worker(file_session())
    worker.calls(3)
    worker.ring.words[HEAD] = worker.writer.tail + head if head < 1 << 60 else head
    with collector() as leadership:
        worker.leave()
        turn_until(leadership, lambda: not _rings(), what="the ring to go")
        turn_until(leadership, lambda: total() == 3, what="its calls")
        assert counted("lost", leadership) == 0
