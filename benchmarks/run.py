"""One run: where it was, and the tables that came of it. ``docs/bench.json`` is the one that the README shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from benchmarks.place import ROOT
from benchmarks.rows import Row

KEPT = ROOT / "docs" / "bench.json"


class Table(NamedTuple):
    name: str
    """Of the file in this folder that measured it."""
    title: str
    seconds: float
    rows: Sequence[Row]

    def row(self, what: str, against: str = "") -> Optional[Row]:
        """The first of that name, and against that if it is given."""
        return next((row for row in self.rows if row.what == what and against in {"", row.against}), None)


class Run(NamedTuple):
    about: dict[str, str]
    share: float
    """Of the full number of repetitions."""
    tables: list[Table]

    @property
    def seconds(self) -> float:
        return sum(table.seconds for table in self.tables)

    def table(self, name: str) -> Table:
        """Empty if that was not measured."""
        return next((table for table in self.tables if table.name == name), Table(name, "", 0.0, ()))


def write(run: Run, path: Path) -> None:
    tables = [{**table._asdict(), "rows": [row.to_data() for row in table.rows]} for table in run.tables]
    path.write_text(json.dumps({**run._asdict(), "tables": tables}, indent=1) + "\n", encoding="utf-8")


def read(path: Path = KEPT) -> Run:
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    tables = [Table(**{**table, "rows": [Row.from_data(row) for row in table["rows"]]}) for table in kept["tables"]]
    return Run(**{**kept, "tables": tables})
