"""``recost-collector top``: what the workers of this host call now, as a table that stays."""

from __future__ import annotations

import argparse
import sys

_EPILOG = """\
examples:
  recost-collector top                     until q or Ctrl-C
  recost-collector top --by model          LLM calls only
  recost-collector top --once              one frame, for a script or a log; so does a pipe

Figures under "now" are of the last minute, or of the time since somebody began to look; the others since the collector
leads. They come from the running collector; the workers' own are read from shared memory, also when it hangs.
Needs rich: pip install "recost[cli]".

Exit code, with --once: that of recost-collector status. 4: rich is missing, or the host cannot be looked at.
"""
LEAST_SECONDS, MOST_SECONDS = 0.2, 60.0


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "top",
        help="a live table of calls, errors, latency and cost",
        description="Shows calls, errors, latency and cost of all workers of this host, by provider, endpoint, tag and"
        " model, with a total and its rate.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--by",
        choices=("endpoint", "model", "provider", "tag"),
        help="only this table (default: endpoints, and models and tags if there are any)",
    )
    command.add_argument("--once", action="store_true", help="print one frame, after --interval, and end")
    command.add_argument(
        "--interval",
        type=_seconds,
        default=1.0,
        metavar="S",
        help="seconds between two looks (default: 1)",
    )
    command.set_defaults(act=_run, ends_by_ctrl_c=True)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from recost_collector import top_loop  # noqa: PLC0415 - each command imports what it needs, when it does
    except ModuleNotFoundError as exc:
        if exc.name != "rich" and not (exc.name or "").startswith("rich."):
            raise
        sys.stderr.write('recost-collector top: needs rich, which is not installed: pip install "recost[cli]"\n')
        return 4
    return top_loop.run(arguments)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r}: want seconds, from {LEAST_SECONDS:g} to {MOST_SECONDS:g}")
    return seconds
