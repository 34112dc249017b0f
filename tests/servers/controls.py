"""Cells that are not whole, each in a way of its own: what the runner must not take for good. In no table."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

from tests.servers import gunicorn, http_load
from tests.servers.cell import Cell, Counts, Unavailable


def not_captured(path: Path) -> Counts:
    """Workers whose calls nobody sees."""
    blind = gunicorn.way("sync")._replace(environ={"RECOST_ENABLED": "0"})
    return http_load.run(path, way=blind, ending=http_load.stop)


def raises(_path: Path) -> Counts:
    raise AssertionError("the server did not start")


def cannot(_path: Path) -> Counts:
    raise Unavailable("no such server")


def ends(_path: Path) -> Counts:
    os._exit(3)


def hangs(_path: Path) -> Counts:
    threading.Event().wait()
    return Counts(1, 1)


def leaves_a_process(_path: Path) -> Counts:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    return Counts(1, 1)


def leaves_a_thread(_path: Path) -> Counts:
    threading.Thread(target=threading.main_thread().join, name="left").start()
    return Counts(1, 1)


def leaves_a_ring(path: Path) -> Counts:
    (path / "ring-of-somebody").touch()
    return Counts(1, 1)


def gives(made: int, delivered: int, in_flight: int, given_up: int, _path: Path) -> Counts:
    return Counts(made, delivered, in_flight, given_up)


CELLS = [
    Cell("control", run.__name__, "graceful", run)
    for run in (not_captured, raises, cannot, ends, hangs, leaves_a_process, leaves_a_thread, leaves_a_ring)
] + [
    Cell("control", name, "graceful", functools.partial(gives, *counts))
    for name, counts in {
        "one lost": (10, 9, 0, 0),
        "one more than in flight lost": (10, 7, 2, 0),
        "one doubled": (10, 11, 2, 0),
        "one more than given up doubled": (10, 12, 0, 1),
        "no call": (0, 0, 0, 0),
        "all there": (10, 8, 2, 0),
        "one never arrived": (10, 11, 0, 1),
    }.items()
]
