"""What came of the cells, as it lies in a file: ``docs/matrix.json`` is the run that the README shows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

Verdict = Literal["whole", "not whole", "failed", "unavailable"]
KEPT = Path(__file__).parents[2] / "docs" / "matrix.json"
WHOLE: Verdict = "whole"
NOT_WHOLE: Verdict = "not whole"
FAILED: Verdict = "failed"
UNAVAILABLE: Verdict = "unavailable"


class Result(msgspec.Struct):
    """One cell."""

    server: str
    mode: str
    ending: str
    verdict: Verdict = "failed"
    made: int = 0
    delivered: int = 0
    in_flight: int = 0
    """Calls that were under way in a worker when it was killed: at most so many may be missing."""
    given_up: int = 0
    """Of ``delivered``, those that their server cancelled: so many may never have reached the receiving end."""
    why: str = ""
    """What failed, or why the cell cannot be run here."""
    seconds: float = 0.0

    @property
    def label(self) -> str:
        return f"{self.server}, {self.mode}, {self.ending}"

    @property
    def holds(self) -> bool:
        """False: something is missing, doubled, left behind or broken."""
        return self.verdict in {WHOLE, UNAVAILABLE}


class Matrix(msgspec.Struct):
    """A run."""

    date: str
    machine: str
    python: str
    versions: dict[str, str]
    """Of the servers and clients that were there."""
    seconds: float = 0.0
    cells: list[Result] = []

    @property
    def holds(self) -> bool:
        """Every cell that can be run here is whole, and there was one."""
        return all(cell.holds for cell in self.cells) and any(cell.verdict == WHOLE for cell in self.cells)


def read(file: Path) -> Matrix:
    return msgspec.json.decode(file.read_bytes(), type=Matrix)


def write(matrix: Matrix, file: Path) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(matrix)) + b"\n")
    unfinished.replace(file)
