"""``python -m benchmarks``: measure, and print a table. ``scripts/bench`` sets up what it needs and runs it."""

from __future__ import annotations

import argparse
import compileall
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import capture, collector, exits, idle, imports, llm, offer, ring_file, start, workers
from benchmarks.machine import describe
from benchmarks.measure import Effort
from benchmarks.place import ROOT, is_supported
from benchmarks.rows import Row, draw

SUBJECTS: dict[str, ModuleType] = {
    "capture": capture,
    "offer": offer,
    "llm": llm,
    "ring": ring_file,
    "collector": collector,
    "workers": workers,
    "idle": idle,
    "start": start,
    "import": imports,
    "exit": exits,
}
QUICK = Effort(0.2)
NOT_SUPPORTED = 2
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if not is_supported():
        print("bench: it needs Linux: /proc, and 127.0.0.2 as an address of this machine", file=sys.stderr)
        return NOT_SUPPORTED
    for folder in ("recost", "collector"):  # as installers do: nobody's start pays for compiling
        compileall.compile_dir(ROOT / folder, quiet=2)
    about = describe()
    for name, text in about.items():
        print(f"{name:9} {text}", flush=True)
    effort = QUICK if options.quick else Effort()
    measured = {name: run(name, effort) for name in options.only or SUBJECTS}
    if options.json:
        _write(options.json, about, measured)
    return 0


def run(name: str, effort: Effort) -> list[Row]:
    """Measure one subject and print its table."""
    subject = SUBJECTS[name]
    started = time.monotonic()
    rows = list(subject.measure(effort))
    print(f"\n{subject.TITLE}  [{name}, {time.monotonic() - started:.0f} s]")
    print("\n".join(draw(rows)), flush=True)
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="What recost costs on this machine, each figure beside a baseline of the same run.",
        epilog="example: scripts/bench --quick --only capture --only offer",
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the repetitions: faster, and noisier")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="this subject; may be given several times")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there as well")
    return parser


def _write(path: Path, about: dict[str, str], measured: dict[str, list[Row]]) -> None:
    rows: dict[str, Any] = {name: [row.to_data() for row in rows] for name, rows in measured.items()}
    path.write_text(json.dumps({"machine": about, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
