"""Two processes that make the same calls, one with a product and one without, and take turns."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from benchmarks.caller import WARM_UP
from benchmarks.measure import NS_PER_US, median
from benchmarks.products import Product
from benchmarks.sink import Sink
from benchmarks.venvs import python_of

BLOCK_S = 0.005
"""What a block of calls takes, about: long for the clock, short for what else the machine does."""
FEWEST, MOST = 5, 200
ANSWER_S = 60.0
SETTLE_S = 1.0
"""Flushing waits for what is sent; this is for the rest."""
POLL_S = 0.01


class CallerError(RuntimeError):
    """A process ended or hangs: its product cannot be measured."""


class Turns(NamedTuple):
    """What single calls of one client on one wire took, us."""

    without: list[float]
    with_product: list[float]
    made: int
    captured: int


class Caller:
    """A process of ``benchmarks.caller``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.made = 0

    def time(self, client: str, wire: str, calls: int, cpu: int) -> list[float]:
        """What each of so many took, us."""
        self.made += WARM_UP + calls
        took_ns: list[float] = self._ask("time", client, wire, calls, cpu)
        return [ns / NS_PER_US for ns in took_ns]

    def together(self, client: str, calls: int) -> None:
        self.made += calls
        self._ask("together", client, calls)

    def _ask(self, *words: object) -> Any:
        told, answers = self._process.stdin, self._process.stdout
        assert told is not None
        assert answers is not None
        with contextlib.suppress(BrokenPipeError):  # nor will there be an answer
            print(json.dumps(words), file=told, flush=True)
        is_there, _, _ = select.select([answers], [], [], ANSWER_S)
        answer = answers.readline() if is_there else ""
        if not answer:
            raise CallerError(f"{'ended' if is_there else 'did not answer'} when it was told to {words}")
        return json.loads(answer)

    def flush(self) -> Optional[int]:
        """What the product itself has counted, if it does."""
        counted: Optional[int] = self._ask("flush")
        return counted


class Pair:
    def __init__(self, without: Caller, with_product: Caller, sink: Sink) -> None:
        self._without, self._with = without, with_product
        self._sink = sink
        self._own = 0
        self._arrived = sink.calls
        self._is_odd = False
        self._cpus = itertools.cycle(sorted(os.sched_getaffinity(0)))

    def take_turns(self, client: str, wire: str, seconds: float) -> Turns:
        made_before, turns = self._with.made, Turns([], [], 0, 0)
        calls = self._calls_in_a_block(client, wire)
        until = time.monotonic() + seconds
        while time.monotonic() < until or not turns.without:
            sides = [(self._without, turns.without), (self._with, turns.with_product)]
            cpu = next(self._cpus)
            self._is_odd = not self._is_odd
            for caller, samples in sides if self._is_odd else reversed(sides):
                samples.extend(caller.time(client, wire, calls, cpu))
        made = self._with.made - made_before
        return turns._replace(made=made, captured=self._captured(made))

    def captured_together(self, client: str, calls: int) -> int:
        """How many were captured of so many calls that are under way at once."""
        self._with.together(client, calls)
        return self._captured(calls)

    def _calls_in_a_block(self, client: str, wire: str) -> int:
        for caller in (self._without, self._with):  # connections, caches
            caller.time(client, wire, FEWEST, next(self._cpus))
        took_us = median(self._without.time(client, wire, FEWEST, next(self._cpus)))
        return min(MOST, max(FEWEST, round(BLOCK_S * 1e6 / took_us)))

    def _captured(self, made: int) -> int:
        """What is known since the last time: by the product itself, or by what has arrived at the sink."""
        own = self._with.flush()
        if own is not None:
            captured, self._own = own - self._own, own
            return captured
        expected = self._arrived + made
        until = time.monotonic() + SETTLE_S
        while self._sink.calls < expected and time.monotonic() < until:
            time.sleep(POLL_S)
        before, self._arrived = self._arrived, self._sink.calls
        return self._arrived - before


@contextlib.contextmanager
def running_pair(product: Product, sink: Sink, server_url: str) -> Iterator[Pair]:
    with _running(product, "", sink, server_url) as without, _running(product, product.name, sink, server_url) as other:
        yield Pair(without, other, sink)


@contextlib.contextmanager
def _running(product: Product, switched_on: str, sink: Sink, server_url: str) -> Iterator[Caller]:
    command = [python_of(product), "-m", "benchmarks.caller", switched_on, sink.url, server_url]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    if product.requirements:
        environ.pop("PYTHONPATH", None)  # else recost would be this one and not the release: a .pth file has us last
    with subprocess.Popen(command, cwd=os.environ["HOME"], env=environ, **pipes) as process:
        try:
            yield Caller(process)
        finally:
            process.kill()
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it has not read what it was told last
                process.stdin.close()
