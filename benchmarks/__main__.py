"""``python -m benchmarks``: measure, and print tables. ``scripts/bench`` sets up what it needs and runs it."""

from __future__ import annotations

import argparse
import compileall
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from benchmarks import (
    capture,
    collector,
    exits,
    idle,
    imports,
    llm,
    offer,
    publish,
    ring_file,
    start,
    tail,
    workers,
)
from benchmarks.machine import describe
from benchmarks.measure import Effort
from benchmarks.place import ROOT, is_supported
from benchmarks.rows import draw
from benchmarks.run import Run, Table, read, write

SUBJECTS: dict[str, tuple[ModuleType, ...]] = {
    "capture": (capture,),
    "offer": (offer, ring_file),
    "llm": (llm,),
    "collector": (collector, idle, start),
    "workers": (workers, tail),
    "import": (imports,),
    "exit": (exits,),
}
QUICK = 0.2
NOT_SUPPORTED = 2
INTERRUPTED = 130
EXAMPLES = """\
subjects:
  capture     time that recost adds to a call, with each client, and what other products add
  offer       encoding an event and putting it into the ring, hot and cold; making a ring
  llm         calls of a patched SDK, prices, track()
  collector   events a second of three kinds of traffic; CPU with little to do; memory; start-up
  workers     1 to 32 at full speed, and what the collector does to one's slowest calls
  import      import recost: time, modules, memory
  exit        what flush() and the exit cost a short script

examples:
  scripts/bench                                      everything
  scripts/bench capture offer --quick --ours         two subjects, recost alone: what a change of the hot path quotes
  scripts/bench --json docs/bench.json && scripts/bench --readme
"""


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.readme:
        publish.publish(read())
        return 0
    if not is_supported():
        print("bench: it needs Linux: /proc, and 127.0.0.2 as an address of this machine", file=sys.stderr)
        return NOT_SUPPORTED
    for folder in ("recost", "collector"):  # as installers do: nobody's start pays for compiling
        compileall.compile_dir(ROOT / folder, quiet=2)
    run = Run(describe(), QUICK if options.quick else 1.0, [])
    for name, text in run.about.items():
        print(f"{name:9} {text}", flush=True)
    effort = Effort(run.share, others=not options.ours)
    for subject in options.subjects or SUBJECTS:
        run.tables.extend(measure(subject, effort))
        if options.json:  # after each: what is measured is kept if the next one is interrupted
            write(run, options.json)
    return 0


def measure(subject: str, effort: Effort) -> list[Table]:
    """Measure one subject and print its tables."""
    return [_measure(subject, module, effort) for module in SUBJECTS[subject]]


def _measure(subject: str, module: ModuleType, effort: Effort) -> Table:
    started = time.monotonic()
    rows = list(module.measure(effort))
    table = Table(module.__name__.rpartition(".")[2], module.TITLE, round(time.monotonic() - started, 1), rows)
    print(f"\n{table.title}  [{subject}, {table.seconds:.0f} s]")
    print("\n".join(draw(rows)), flush=True)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="What recost costs on this machine, each figure beside a baseline of the same run.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", type=_subject, help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="a fifth of the repetitions: faster, and noisier")
    parser.add_argument("--ours", action="store_true", help="measure and install no other products")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there as well")
    parser.add_argument(
        "--readme", action="store_true", help="run nothing: put docs/bench.json into the README, with its pictures"
    )
    return parser


def _subject(name: str) -> str:
    if name not in SUBJECTS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SUBJECTS)}")
    return name


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
