"""The process of one cell: run it, and write down what came of it.

    python -m tests.servers.one MODULE CELL FOLDER

``CELL`` is its label; ``FOLDER`` is empty, and the cell's, but for ``result.json`` beside it.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.servers.cell import Cell, Unavailable
from tests.servers.results import FAILED, NOT_WHOLE, UNAVAILABLE, WHOLE, Result

RESULT = "result.json"


def run(cell: Cell, folder: Path) -> Result:
    """Never raises: what the cell raises is its result."""
    result = Result(cell.server, cell.mode, cell.ending)
    began_at = time.monotonic()
    try:
        counts = cell.run(folder)
    except Unavailable as exc:
        result.verdict, result.why = UNAVAILABLE, str(exc)
    except Exception:  # noqa: BLE001 - whatever it was, the cell did not come to its end
        result.verdict, result.why = FAILED, traceback.format_exc(limit=-4)
    else:
        result.made, result.delivered, result.in_flight, result.given_up = counts
        result.verdict = WHOLE if counts.is_whole and counts.made else NOT_WHOLE
    result.seconds = round(time.monotonic() - began_at, 1)
    left = [*_threads(), *_in_folder(folder)]
    if left:
        result.verdict, result.why = FAILED, f"left behind: {', '.join(left)}\n{result.why}".strip()
    return result


def _threads() -> Iterator[str]:
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            yield f"thread {thread.name}"


def _in_folder(folder: Path) -> Iterator[str]:
    """Rings, and locks that somebody still holds. The files of locks stay."""
    for path in folder.rglob("*"):
        if path.name.startswith("ring-"):
            yield f"ring {path.name}"
        elif path.is_file() and "lock" in path.name and _is_held(path):
            yield f"lock {path.name}"


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def find(module: str, label: str) -> Cell:
    cells: list[Cell] = importlib.import_module(module).CELLS
    return next(cell for cell in cells if Result(*cell[:3]).label == label)


def main(module: str, label: str, folder: Path) -> None:
    owner = os.getpid()
    result = run(find(module, label), folder)
    if os.getpid() != owner:  # a child that came back from the cell
        os._exit(70)
    (folder.parent / RESULT).write_bytes(msgspec.json.encode(result))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
