"""What enters ``offer`` in its own middle, and what is thrown out of it: one context manager for each source.

Each takes a ``Round`` (``reentry``), tells it of every frame that it interrupts, and has stopped at its end.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import os
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, NoReturn, Optional

from tests.harness import start_child, wait_for_child

if TYPE_CHECKING:
    from tests.faults.ring.reentry import Round

TIMER_S = 0.0001
SWITCH_S = 0.00002
"""Threads take turns so often."""
ALLOCATIONS = 2
"""What ``offer`` allocates itself that counts for the collector of garbage: the methods of its lock."""

Place = tuple[CodeType, int]
"""A function that is under way, and the line it is at."""
Handler = Callable[[int, Optional[FrameType]], None]


class Interrupted(BaseException):
    """What a server's time limit throws from a handler, or from another thread."""


def places_under(frame: Optional[FrameType]) -> Iterator[Place]:
    """Where the thread is, from ``frame`` outwards."""
    while frame is not None:
        yield frame.f_code, frame.f_lineno or 0
        frame = frame.f_back


def places_of(trace: Optional[TracebackType]) -> Iterator[Place]:
    """Where an exception was thrown, from the innermost place outwards."""
    places: list[Place] = []
    while trace is not None:
        places.append((trace.tb_frame.f_code, trace.tb_lineno or 0))
        trace = trace.tb_next
    return reversed(places)


@contextlib.contextmanager
def signals(run: Round) -> Iterator[None]:
    """A timer's signal and another process's, whose handlers record; each may interrupt the other."""
    handled = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def handle(number: int, frame: Optional[FrameType]) -> None:
        run.struck(places_under(frame))
        run.offer()
        handled[0] += number == signal.SIGUSR1

    owner = os.getpid()
    signal.signal(signal.SIGUSR1, handle)
    sender = start_child(lambda: _send_for_ever(owner, handled, run.chance))
    try:
        with _timer(handle):
            yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        os.kill(sender, signal.SIGKILL)
        wait_for_child(sender)


@contextlib.contextmanager
def finalizers(run: Round) -> Iterator[None]:
    """Garbage whose finalizers record, collected when ``offer`` itself allocates something."""
    thresholds = gc.get_threshold()

    def litter() -> None:
        gc.disable()
        _leave_garbage(run)
        gc.set_threshold(gc.get_count()[0] + run.chance.randrange(ALLOCATIONS))
        gc.enable()

    run.prepare = litter
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()


@contextlib.contextmanager
def collections(run: Round) -> Iterator[None]:
    """The same garbage, collected at any instruction: a signal's handler sets it off."""

    def handle(_number: int, _frame: Optional[FrameType]) -> None:
        gc.collect(0)

    run.prepare = lambda: _leave_garbage(run)
    gc.disable()
    gc.freeze()  # what is here already need not be looked at each time
    try:
        with _timer(handle):
            yield
    finally:
        gc.enable()
        gc.collect()


@contextlib.contextmanager
def handlers_that_throw(run: Round) -> Iterator[None]:
    """A signal whose handler throws, every other time after it has recorded itself."""

    def handle(number: int, frame: Optional[FrameType]) -> None:
        if run.inside(places_under(frame)):
            if run.thrown % 2:
                run.offer()
            raise Interrupted

    with _timer(handle):
        yield


@contextlib.contextmanager
def throwing_thread(run: Round) -> Iterator[None]:
    """Another thread that throws into the one that records, one exception at a time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    thrower = threading.Thread(target=_throw_for_ever, args=(run, threading.get_ident()))
    thrower.start()
    try:
        yield
    finally:
        thrower.join()
        sys.setswitchinterval(before)


class _Cycle:
    """Garbage as soon as it is made. ``run``: whose finalizer records; None: it has none."""

    def __init__(self, run: Optional[Round]) -> None:
        self.cycle = self
        self.run = run

    def __del__(self) -> None:
        if self.run is not None:
            _finalize(self.run)


def _leave_garbage(run: Round) -> None:
    _Cycle(run)
    weakref.finalize(_Cycle(None), _finalize, run)


def _finalize(run: Round) -> None:
    run.struck(places_under(sys._getframe(1)))
    run.offer()


@contextlib.contextmanager
def _timer(handle: Handler) -> Iterator[None]:
    """A signal a moment after the last one was handled: however busy the machine is, handlers do not pile up."""

    def handle_and_rearm(number: int, frame: Optional[FrameType]) -> None:
        try:
            handle(number, frame)
        finally:
            signal.setitimer(signal.ITIMER_REAL, TIMER_S)

    signal.signal(signal.SIGALRM, handle_and_rearm)
    signal.setitimer(signal.ITIMER_REAL, TIMER_S)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _send_for_ever(owner: int, handled: memoryview, chance: random.Random) -> NoReturn:
    """A signal a random moment after the last one was handled: sent any faster, handlers would only pile up."""
    sent = handled[0]
    while os.getppid() == owner:
        if handled[0] == sent:
            sent += 1
            os.kill(owner, signal.SIGUSR1)
        for _ in range(chance.randrange(1, 50)):
            time.sleep(0)
    os._exit(0)


def _throw_for_ever(run: Round, victim: int) -> None:
    throw = ctypes.pythonapi.PyThreadState_SetAsyncExc
    while not run.is_over:
        if run.is_armed:
            run.is_armed = False
            throw(ctypes.c_ulong(victim), ctypes.py_object(Interrupted))
        time.sleep(run.chance.random() * SWITCH_S)
