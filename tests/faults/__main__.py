"""The command line of ``scripts/torture``: which rows, how much, and what came of it."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import secrets
import sqlite3
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Optional

import msgspec

from tests.faults import rows, table
from tests.faults.pythons import every_python, this_python
from tests.faults.row import Verdict
from tests.faults.running import Job, Running
from tests.progress import Progress

RESULTS = Path(__file__).parents[2] / ".cache" / "torture.json"
POLL_S = 0.1
EXAMPLES = """\
examples:
  scripts/torture                       the quick form, under four minutes
  scripts/torture --full                the whole, at most 45 minutes on two cores
  scripts/torture --full --resume       go on with a whole run that was interrupted
  scripts/torture --only storm --kills 50 --seed 7
"""


class Run(msgspec.Struct):
    """A run, as it lies in the file of results."""

    seed: int
    full: bool
    began: str
    machine: str
    versions: str
    verdicts: list[Verdict] = []
    missing: list[str] = []


def main(arguments: Optional[list[str]] = None) -> int:
    """0: every promise held; 1: one did not, or a control showed nothing; 2: usage."""
    options = _parser().parse_args(arguments)
    if options.list:
        print("\n".join(f"{row.name:28} {row.promise}" for _, row in rows.every_row()))
        return 0
    wanted = rows.matching(options.only)
    if not wanted:
        print(f"torture: --only {' '.join(options.only)}: no such row; --list shows them", file=sys.stderr)
        return 2
    run = _begin(options)
    print(
        f"torture: {'full' if run.full else 'quick'} form, seed {run.seed}; {run.machine}; {run.versions}", flush=True
    )
    began_at = time.monotonic()
    _work(run, _jobs(run, wanted, options), options)
    _tell(run, time.monotonic() - began_at, markdown=options.markdown)
    return 0 if all(verdict.holds for verdict in run.verdicts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "scripts/torture",
        description="Break recost at every point; count what is lost or doubled.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="the form that CI runs (the default)")
    form.add_argument("--full", action="store_true", help="every point, thousands of kills")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ROW", help="a row, or a family of them; may be repeated"
    )
    parser.add_argument("--seed", type=int, help="repeat the choices of the run with this seed")
    parser.add_argument("--kills", type=_positive, help="how many kills, for the rows that kill at random")
    parser.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, help="rows at a time (default: one per core)"
    )
    parser.add_argument(
        "--resume", action="store_true", help=f"skip the rows that the last run finished ({RESULTS.name})"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown, too")
    parser.add_argument("--list", action="store_true", help="name the rows")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: want 1 or more")
    return number


def _begin(options: argparse.Namespace) -> Run:
    """A new run, or the one to go on with."""
    if options.resume and RESULTS.exists():
        earlier = msgspec.json.decode(RESULTS.read_bytes(), type=Run)
        if earlier.full == options.full and options.seed in (None, earlier.seed):
            return earlier
    return Run(
        seed=secrets.randbelow(1 << 32) if options.seed is None else options.seed,
        full=options.full,
        began=dt.date.today().isoformat(),  # noqa: DTZ011 - the machine's date, for the table
        machine=f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        versions=f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        + ", ".join(f"{name} {metadata.version(name)}" for name in ("recost", "msgspec", "filelock", "urllib3")),
    )


def _jobs(run: Run, wanted: list[tuple[str, rows.Row]], options: argparse.Namespace) -> list[Job]:
    """What is still to do. The order is the table's, but for the longest, which start first."""
    pythons = [this_python()]
    if run.full and any(row.on_every_python for _, row in wanted):
        pythons, run.missing = every_python()
    jobs = [
        Job(module, row, python, run.full, run.seed, options.kills)
        for module, row in wanted
        for python in (pythons if row.on_every_python else pythons[:1])
        if run.full or row.in_quick or options.only
    ]
    done = {verdict.name for verdict in run.verdicts}
    return sorted((job for job in jobs if job.label not in done), key=lambda job: -job.limit_s)


def _work(run: Run, jobs: list[Job], options: argparse.Namespace) -> None:
    waiting = list(jobs)
    running: list[Running] = []
    order = [row.name for _, row in rows.every_row()]
    progress = Progress(len(jobs))
    try:
        while waiting or running:
            while waiting and len(running) < options.jobs:
                running.append(Running(waiting.pop(0)))
            for one in list(running):
                verdict = one.poll(POLL_S)
                if verdict is not None:
                    running.remove(one)
                    run.verdicts.append(verdict)
                    run.verdicts.sort(key=lambda found: (order.index(found.name.partition("[")[0]), found.name))
                    _keep(run)
                    progress.finished(_told(verdict))
            progress.show([f"{one.job.label} {one.done}/{one.of or '?'} {one.seconds:.0f} s" for one in running])
    finally:
        for one in running:
            one.stop()


def _keep(run: Run) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    unfinished = RESULTS.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    unfinished.replace(RESULTS)


def _told(verdict: Verdict) -> str:
    state = "skipped" if verdict.skipped else "holds" if verdict.holds else "VIOLATED"
    return f"{verdict.name}: {state}, {verdict.tries:,} tries, {verdict.seconds:.0f} s"


def _tell(run: Run, seconds: float, *, markdown: bool) -> None:
    print(f"\n{table.as_text(run.verdicts)}\n")
    for reason in run.missing:
        print(f"not run: {reason}")
    if markdown:
        print(f"{table.as_markdown(run.verdicts)}\n\n{table.as_summary(run.verdicts)}\n")
    broken = [verdict.name for verdict in run.verdicts if not verdict.holds]
    outcome = f"VIOLATED: {', '.join(broken)}" if broken else "every promise held"
    tries = sum(verdict.tries for verdict in run.verdicts)
    print(f"torture: {outcome}; {len(run.verdicts)} rows, {tries:,} tries, seed {run.seed}, {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
