"""All cells, in the order of the table."""

from __future__ import annotations

import importlib

from tests.servers.cell import Cell
from tests.servers.results import Result
from tests.servers.running import Job

MODULES = ("gunicorn", "uvicorn", "uwsgi", "granian", "hypercorn", "celery", "pools", "daemon", "xdist")


def every_cell() -> list[tuple[str, Cell]]:
    """(module, cell) for each."""
    names = [f"tests.servers.{name}" for name in MODULES]
    return [(name, cell) for name in names for cell in importlib.import_module(name).CELLS]


def jobs(wanted: list[str]) -> list[Job]:
    """Of the servers wanted, by name or by its beginning; of all when none is."""
    return [
        Job(module, result.label, result)
        for module, cell in every_cell()
        for result in [Result(cell.server, cell.mode, cell.ending)]
        if not wanted or any(result.label.lower().startswith(name.lower()) for name in wanted)
    ]
