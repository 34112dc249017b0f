"""Signal handlers, finalizers and thrown exceptions enter ``offer`` in its middle: nothing hangs, nothing is lost."""

from __future__ import annotations

import gc
import inspect
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from recost.ring.writer import Writer
from tests.ring.rings import MemoryRing, payloads


class Interrupted(BaseException):
    """What a server's time limit throws from a handler."""


@pytest.fixture
def _timer() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _lock_is_free(writer: Writer) -> bool:
    got: list[bool] = []
    other = threading.Thread(target=lambda: got.append(writer._lock.acquire(timeout=5)))
    other.start()
    other.join()
    return got == [True]


def _drain(ring: MemoryRing, reader: object, into: list[bytes]) -> None:
    into += payloads(reader)  # type: ignore[arg-type]
    reader.release(reader.cursor.position)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_timer")
def test_a_signal_handler_that_records_loses_nothing() -> None:
    ring = MemoryRing(1 << 16)
    writer, reader = ring.writer(), ring.reader()
    acknowledged: list[bytes] = []
    got: list[bytes] = []
    handled = depth = 0

    def ring_again() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0002)

    def handler(_number: int, _frame: object) -> None:
        nonlocal handled, depth
        handled += 1
        depth += 1
        if depth < 3:  # one inside the other; without an end they would fill the stack on a slow machine
            ring_again()
        payload = b"signal %d" % handled
        if writer.offer(payload):
            acknowledged.append(payload)
        depth -= 1
        ring_again()

    signal.signal(signal.SIGALRM, handler)
    ring_again()
    number = 0
    while handled < 1000:
        number += 1
        payload = b"plain %d" % number
        if writer.offer(payload):
            acknowledged.append(payload)
        if number % 100 == 0:
            _drain(ring, reader, got)
    signal.setitimer(signal.ITIMER_REAL, 0)
    writer.settle()
    _drain(ring, reader, got)

    assert sorted(got) == sorted(acknowledged)
    assert reader.cursor.lost == 0


@pytest.mark.usefixtures("_timer")
def test_an_exception_thrown_inside_offer_loses_nothing_and_leaves_the_lock_free() -> None:
    ring = MemoryRing(1 << 16)
    writer, reader = ring.writer(), ring.reader()
    acknowledged: set[bytes] = set()
    got: list[bytes] = []
    thrown = number = 0

    def handler(_number: int, _frame: object) -> None:
        raise Interrupted

    signal.signal(signal.SIGALRM, handler)
    while thrown < 1000:
        number += 1
        payload = b"%d" % number
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.00005)
            for _ in range(50):
                if writer.offer(payload):
                    acknowledged.add(payload)
                number += 1
                payload = b"%d" % number
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted:
            thrown += 1
        _drain(ring, reader, got)
    signal.setitimer(signal.ITIMER_REAL, 0)

    assert acknowledged <= set(got)
    assert len(got) == len(set(got)), "one came twice"
    assert len(set(got) - acknowledged) <= thrown
    assert reader.cursor.lost == 0
    assert _lock_is_free(writer)


def test_a_finalizer_that_records_during_collection_loses_nothing() -> None:
    ring = MemoryRing(1 << 16)
    writer, reader = ring.writer(), ring.reader()
    acknowledged: list[bytes] = []
    got: list[bytes] = []

    class Node:
        def __init__(self, number: int) -> None:
            self.cycle = self
            self.number = number

        def __del__(self) -> None:
            payload = b"final %d" % self.number
            if writer.offer(payload):
                acknowledged.append(payload)

    thresholds = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for number in range(5000):
            Node(number)
            payload = b"plain %d" % number
            if writer.offer(payload):
                acknowledged.append(payload)
            if number % 100 == 0:
                _drain(ring, reader, got)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    writer.settle()
    _drain(ring, reader, got)

    assert sum(payload.startswith(b"final") for payload in got) == 5000
    assert sorted(got) == sorted(acknowledged)


@pytest.mark.parametrize("step", range(1, 80))
def test_a_handler_that_records_and_throws_at_any_line_leaves_a_sound_ring(step: int) -> None:
    """Like the signal test, but at each traced line of ``offer`` in turn instead of at random."""
    ring = MemoryRing(1 << 12)
    writer, reader = ring.writer(), ring.reader()
    assert writer.offer(b"before")
    count = 0
    # The interpreter looks for signals at calls and jumps: not at a ``try``, not before the first store of a
    # ``finally``, and not before the lock's own entry and exit, which a tracer sees as lines of their own.
    source = inspect.getsource(sys.modules[Writer.__module__]).splitlines()
    atomic = ("try:", "self._busy = False", "with self._lock:")
    clearing = {at for at, line in enumerate(source, 1) if line.strip().startswith(atomic)}

    def trace(frame: object, event: str, _argument: object) -> object:
        nonlocal count
        code, line = frame.f_code, frame.f_lineno  # type: ignore[attr-defined]
        if event == "line" and code.co_filename.endswith("writer.py") and line not in clearing:
            count += 1
            if count == step:
                sys.settrace(None)
                assert writer.offer(b"inside")
                raise Interrupted
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        interrupted = not writer.offer(b"outer")
    except Interrupted:
        interrupted = True
    finally:
        sys.settrace(None)
    assert writer.offer(b"after")
    got = payloads(reader)

    assert got[0] == b"before"
    assert got[-1] == b"after"
    assert got.count(b"inside") == (1 if count >= step else 0)
    assert got.count(b"outer") == 1 or interrupted
    assert len(got) == len(set(got))
    assert reader.cursor.lost == 0
    assert _lock_is_free(writer)


class _Throwing:
    """Data that a handler throws through, once."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.is_armed = True

    def __len__(self) -> int:
        return len(self.data)

    def __setitem__(self, place: slice, value: bytes) -> None:
        if self.is_armed:
            self.is_armed = False
            raise Interrupted
        self.data[place] = value


@pytest.mark.parametrize("step", range(1, 30))
@pytest.mark.parametrize("enter", ["offer", "settle"])
def test_a_second_exception_amid_what_is_done_about_the_first_leaves_the_lock_free(enter: str, step: int) -> None:
    ring = MemoryRing(1 << 12)
    writer, reader = ring.writer(), ring.reader()
    writer._data = _Throwing(ring.data)
    writer._deferred.append([b"aside"])
    writer._lock.acquire()  # as up to Python 3.9, where what is thrown can skip the release at the block's end
    count = 0

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal count
        if frame.f_code in {Writer._let_go.__code__, Writer._is_reentered.__code__}:
            count += 1
            if count == step:
                raise Interrupted  # which ends the tracing
        return trace

    sys.settrace(trace)
    try:
        with pytest.raises(Interrupted):
            writer.offer(b"outer") if enter == "offer" else writer.settle()
    finally:
        sys.settrace(None)

    assert count, "it was struck"
    assert writer.offer(b"after")
    assert payloads(reader)[-1] == b"after"
    assert _lock_is_free(writer)
