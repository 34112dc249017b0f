"""All rows, in the order of the table."""

from __future__ import annotations

import importlib

from tests.faults.row import Row

MODULES = (
    "storm",
    "bytecode",
    "syscalls",
    "memory_order",
    "reentry",
    "forks",
    "takeover",
    "thundering",
    "churn",
    "filesystems",
    "broken_rings",
    "spools",
    "orphans",
    "versions",
    "outage",
    "shutdown",
    "load",
    "fuzz",
)


def every_row() -> list[tuple[str, Row]]:
    """(module, row) for each."""
    names = [f"tests.faults.{name}" for name in MODULES]
    return [(name, row) for name in names for row in importlib.import_module(name).ROWS]


def matching(wanted: list[str]) -> list[tuple[str, Row]]:
    """Those whose name or family is wanted; all when nothing is."""
    found = every_row()
    return [pair for pair in found if not wanted or pair[1].name in wanted or pair[1].name.partition(".")[0] in wanted]
