"""Kill at every bytecode instruction: of a worker's ``offer``, and of the collector from the ring to the file."""

from __future__ import annotations

from tests.faults.killing.bytecode_collect import collect
from tests.faults.killing.bytecode_offer import offer
from tests.faults.row import Row

ROWS = [
    Row(
        "bytecode.offer",
        "a worker killed at any instruction of offer: every acknowledged call is read, at most the one under way more",
        offer,
        on_every_python=True,
    ),
    Row(
        "bytecode.collect",
        "a collector killed at any instruction from the ring to the file: totals are exact",
        collect,
        limit_s=(120.0, 1800.0),
        on_every_python=True,
    ),
]
