"""All rows, in the order of the table."""

from __future__ import annotations

import importlib

from tests.faults.row import Row

MODULES = (
    "storm.rows",
    "killing.bytecode",
    "killing.syscalls",
    "ring.memory_order",
    "ring.reentry",
    "forks.rows",
    "collectors.takeover",
    "collectors.thundering",
    "load.churn",
    "disks.filesystems",
    "disks.broken_rings",
    "disks.spools",
    "disks.orphans",
    "disks.versions",
    "load.outage",
    "shutdown.rows",
    "load.rows",
    "fuzz.rows",
)


def every_row() -> list[tuple[str, Row]]:
    """(module, row) for each."""
    names = [f"tests.faults.{name}" for name in MODULES]
    return [(name, row) for name in names for row in importlib.import_module(name).ROWS]


def matching(wanted: list[str]) -> list[tuple[str, Row]]:
    """Those whose name or family is wanted; all when nothing is."""
    found = every_row()
    return [pair for pair in found if not wanted or pair[1].name in wanted or pair[1].name.partition(".")[0] in wanted]
