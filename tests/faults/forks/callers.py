"""Calls whose paths name who made them, so that a ring shows who wrote into it."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from recost import _runtime
from recost._runtime import Runtime
from recost.event import CallEvent, decode, encode
from recost.ring.files import open_ring
from recost.ring.layout import seed_of
from recost.ring.reader import Reader
from recost.ring.writer import Writer
from tests.faults.offering import DURATION_NS, HOST, Ledger
from tests.processes.support import rings

PARENT, CHILD = "parent", "child"
CALLS = 3


class Account(NamedTuple):
    """Calls of the parent, and of all who come from it."""

    parent: int
    children: int


class Caller:
    """Calls of this process, or of one of its threads, as capture makes them; each is noted before the next."""

    def __init__(self, ledger: Ledger, slot: int, kind: str) -> None:
        self._ledger = ledger
        self._slot = slot
        self._kind = kind

    def call(self, count: int = CALLS) -> int:
        """How many were acknowledged."""
        taken = 0
        for _ in range(count):
            runtime = _runtime.current
            if runtime is not None and runtime.record(self._event()):
                self._ledger.add(self._slot)
                taken += 1
        return taken

    def offer(self) -> bool:
        """One call, for a thread that may fill the ring: one that is refused is not acknowledged."""
        taken = the_writer().offer(encode(self._event()))
        if taken:
            self._ledger.add(self._slot)
        return taken

    def _event(self) -> CallEvent:
        path = f"/{self._kind}/{os.getpid()}"
        return CallEvent(time.time_ns(), DURATION_NS, "GET", "https", HOST, path, 200, 10, 20)


def read_rings() -> tuple[Account, list[str]]:
    """What is in all rings, by whom, and who wrote into one that another process had made."""
    found: Counter[str] = Counter()
    strangers = []
    for path in rings():
        for owner, event in _records(path):
            found[event.path] += 1
            if event.path.rpartition("/")[2] != str(owner):
                strangers.append(f"{event.path} in the ring of {owner}")
    return account(found), strangers


def account(calls: Counter[str]) -> Account:
    """Calls by path, or by endpoint, which is the same here."""
    by_kind: Counter[str] = Counter()
    for path, count in calls.items():
        by_kind[path.split("/")[1]] += count
    return Account(by_kind[PARENT], by_kind[CHILD])


def the_runtime() -> Runtime:
    """What records in this process."""
    runtime = _runtime.current
    assert runtime is not None, "no init()"
    return runtime


def the_writer() -> Writer:
    """What writes into the ring of this process, or in a forked child into its parent's."""
    writer = the_runtime().recorder.writer
    assert writer is not None, "no call was made"
    return writer


def _records(path: Path) -> Iterator[tuple[int, CallEvent]]:
    with contextlib.closing(open_ring(str(path))) as ring:
        reader = Reader(ring.words, ring.data, seed_of(ring.header.ring_id))
        while True:
            payloads = reader.drain(1 << 20, owner_gone=True)
            if not payloads:
                return
            for payload in payloads:
                yield ring.header.pid, decode(payload)
