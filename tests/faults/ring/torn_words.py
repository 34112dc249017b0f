"""A word is stored in one piece: another process never sees half of it, nor a zero in between.

One process stores two values in turn, no byte of which is the same, the other reads as fast as it can.  The control
stores with ``struct.pack_into``, which writes zeros first.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from tests.faults.row import Row, Trial
from tests.harness import start_child, wait_for_child

ONE, OTHER = 0x0102030405060708, 0xF1E2D3C4B5A69788
BLOCK = 10_000
"""Reads between two looks at the clock."""
FEW_CHANGES = 10
"""With fewer changes in a block the two processes took turns on a core rather than running at once."""
CONTROL_READS = 1_000_000
CONTROL_S = 20.0


class Seen(NamedTuple):
    """What a reader saw while the writer ran."""

    reads: int
    changes: int
    """How often the value was another one than at the read before."""
    torn: list[int]
    """What was neither of the two values."""


def hammer(trial: Trial) -> None:
    """Read until there were enough reads, or the time is up; then the same with the control."""
    wanted = trial.size(2_000_000, 50_000_000)
    trial.plan(wanted)
    until = time.monotonic() + trial.size(100.0, 400.0)
    seen = _watch(_store_words, lambda so_far: so_far.reads >= wanted or time.monotonic() > until, trial.tried)
    trial.check(not seen.torn, f"{len(seen.torn)} of {seen.reads:,} reads were torn: {[hex(x) for x in seen.torn[:5]]}")
    trial.check(seen.reads >= wanted, f"the writer ran during {seen.reads:,} reads only, of {wanted:,}")
    trial.figure(f"{seen.changes:,} changes seen in {seen.reads:,} reads")
    _try_pack_into(trial)


def _try_pack_into(trial: Trial) -> None:
    until = time.monotonic() + CONTROL_S
    seen = _watch(
        _pack_words,
        lambda so_far: (bool(so_far.torn) and so_far.reads >= CONTROL_READS) or time.monotonic() > until,
    )
    trial.controlled("the single store (struct.pack_into)", len(seen.torn), seen.reads)


def _watch(
    write: Callable[[mmap.mmap], NoReturn],
    is_enough: Callable[[Seen], bool],
    on_reads: Callable[[int], None] = lambda _count: None,
) -> Seen:
    """Read while a child writes; a block of reads in which next to nothing changed is none."""
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    words = memoryview(shared).cast("Q")
    words[0] = ONE
    child = start_child(lambda: write(shared))
    seen = Seen(0, 0, [])
    try:
        while not is_enough(seen):
            changes, torn = _read_block(words)
            if changes >= FEW_CHANGES or torn:
                seen = Seen(seen.reads + BLOCK, seen.changes + changes, seen.torn + torn)
                on_reads(BLOCK)
    finally:
        os.kill(child, signal.SIGKILL)
        wait_for_child(child)
    return seen


def _read_block(words: memoryview) -> tuple[int, list[int]]:
    changes, torn = 0, []
    last = words[0]
    for _ in range(BLOCK):
        value = words[0]
        if value != last:  # a value that is neither must differ from the one before, or from the one after
            last = value
            changes += 1
            if value not in {ONE, OTHER}:
                torn.append(value)
    return changes, torn


def _store_words(shared: mmap.mmap) -> NoReturn:
    """As the ring stores its words."""
    words = memoryview(shared).cast("Q")
    while True:
        words[0] = OTHER
        words[0] = ONE


def _pack_words(shared: mmap.mmap) -> NoReturn:
    pack_into = struct.Struct("Q").pack_into
    while True:
        pack_into(shared, 0, OTHER)
        pack_into(shared, 0, ONE)


TORN_WORDS = Row(
    "memory.torn-words",
    "a word is never seen torn, nor zero in between, while another process stores it",
    hammer,
    limit_s=(150.0, 500.0),
    on_every_python=True,
)
