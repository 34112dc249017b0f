"""The command line of ``scripts/matrix``: which servers, and what came of it."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Optional

import msgspec

from tests.progress import Progress
from tests.servers import every, results, table
from tests.servers.results import FAILED, Matrix, Result
from tests.servers.running import Job, Running
from tests.servers.uwsgi import newest_version

BUDGET_S = 30 * 60.0
POLL_S = 0.1
PACKAGES = (
    *("recost", "gunicorn", "gevent", "uvicorn", "uvicorn-worker", "granian", "hypercorn", "celery", "pytest-xdist"),
    *("requests", "urllib3", "httpx", "aiohttp"),
)
EXAMPLES = """\
examples:
  scripts/matrix                            every cell, at most 30 minutes
  scripts/matrix --only uwsgi               one family; also "gunicorn gthread, preload, SIGKILL"
  scripts/matrix --json docs/matrix.json && scripts/docs
"""


def main(arguments: Optional[list[str]] = None) -> int:
    """0: every cell that can be run is whole; 1: one is not; 2: usage."""
    options = _parser().parse_args(arguments)
    jobs = every.jobs(options.only)
    if not jobs:
        print(f"matrix: --only {' '.join(options.only)}: no such server; --list shows them", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(job.label for job in jobs))
        return 0
    matrix = _begin()
    print(f"matrix: {len(jobs)} cells; {matrix.machine}, Python {matrix.python}", flush=True)
    work(matrix, jobs, options.jobs)
    if options.json:
        results.write(matrix, options.json)
    print(f"\n{table.as_markdown(matrix)}\n")
    print(f"matrix: {_outcome(matrix)}, {matrix.seconds:.0f} s")
    return 0 if matrix.holds else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "scripts/matrix",
        description="Run every server with real traffic, end its workers in every way: calls made, calls delivered.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="SERVER", help="the beginning of its name; may be repeated"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cells at a time (default: one per core)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what came of it, too")
    parser.add_argument("--list", action="store_true", help="name the cells")
    return parser


def _begin() -> Matrix:
    return Matrix(
        date=dt.date.today().isoformat(),  # noqa: DTZ011 - the machine's date, for the table
        machine=f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        python=platform.python_version(),
        versions=dict(_versions()),
    )


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return [*found, ("uWSGI", newest_version())]


def work(matrix: Matrix, jobs: Sequence[Job], at_once: int, budget_s: float = BUDGET_S) -> None:
    """Run ``jobs``, so many at a time, into ``matrix``; what the budget does not allow has failed."""
    began_at = time.monotonic()
    waiting, running = list(jobs), list[Running]()
    progress = Progress(len(jobs))
    try:
        while waiting or running:
            if time.monotonic() - began_at > budget_s:
                raise TimeoutError
            while waiting and len(running) < at_once:
                running.append(Running(waiting.pop(0)))
            for one in list(running):
                result = one.poll()
                if result is not None:
                    running.remove(one)
                    matrix.cells.append(result)
                    progress.finished(_told(result))
            progress.show([f"{one.job.label} {one.seconds:.0f} s" for one in running])
            time.sleep(POLL_S)
    except TimeoutError:
        matrix.cells += [_too_late(job) for job in [*(one.job for one in running), *waiting]]
    finally:
        for one in running:
            one.end()
    order = [job.label for job in jobs]
    matrix.cells.sort(key=lambda cell: order.index(cell.label))
    matrix.seconds = round(time.monotonic() - began_at)


def _too_late(job: Job) -> Result:
    return msgspec.structs.replace(job.unfinished, verdict=FAILED, why="not finished when the time was over")


def _outcome(matrix: Matrix) -> str:
    wrong = [cell.label for cell in matrix.cells if not cell.holds]
    whole = sum(cell.verdict == results.WHOLE for cell in matrix.cells)
    return f"NOT WHOLE: {'; '.join(wrong)}" if wrong else f"{whole} of {len(matrix.cells)} cells were run, all whole"


def _told(result: Result) -> str:
    counts = f"{result.made:,} made, {result.delivered:,} delivered, {result.in_flight} in flight"
    told = counts if result.made else result.why.partition("\n")[0]
    verdict = result.verdict if result.holds else result.verdict.upper()
    line = f"{result.label}: {verdict}, {told}, {result.seconds:.0f} s"
    return line if result.holds else f"{line}\n{result.why}"


if __name__ == "__main__":
    sys.exit(main())
