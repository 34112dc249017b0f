"""``recost-collector flush``: deliver now what the workers of this host have recorded, and say what came of it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recost_collector.errand import Result

MOST_SECONDS = 600.0

_EPILOG = """\
examples:
  recost-collector flush                   before a deployment, or to see at once what a call became
  recost-collector flush --timeout 30      when the service is slow

Without a collector this command is one for as long as it takes. A Retry-After and a suspended key are respected.

Exit code 0: all is delivered, or there was nothing, 1: windows still wait, are parked or on their way, 3: nobody
collects and this command cannot either, 4: the collector does not answer.

--json prints one object: exit_code, and replies[], one per runtime directory with something in it: runtime_dir,
exit_code, answered, is_done (false: still being tried when the time was up), trouble, and outcomes[], one per
destination: destination, delivered (since you asked), waiting, parked, why; retried and deleted are of the command
spool.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "flush",
        help="deliver now what was recorded, and say what came of it",
        description="Asks for one delivery attempt for everything recorded so far, of all workers and projects.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_timeout(command)
    command.add_argument("--json", action="store_true", help="one JSON object instead of text")
    command.set_defaults(act=_run)


def add_timeout(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=5.0,
        metavar="S",
        help="seconds to wait for the outcome (default: 5); delivery goes on behind",
    )


def headline(result: Result) -> str:
    """What came of delivery, in a line."""
    from recost_collector import errand, figures  # noqa: PLC0415 - each command imports what it needs when it does

    delivered, left = errand.total(result, "delivered"), errand.left(result)
    troubles = errand.troubles(result)
    if troubles:
        return troubles[0]
    if not all(reply.is_done for reply in result.replies):
        return f"not all is delivered: {left}, and is still being tried" if left else "delivery is still being tried"
    if left:
        return f"not all is delivered: {left}"
    return f"all is delivered: {figures.plural(delivered, 'window')}" if delivered else "nothing to deliver"


def _run(arguments: argparse.Namespace) -> int:
    from recost_collector import errand  # noqa: PLC0415 - each command imports what it needs when it does
    from recost_collector.request_box import Request  # noqa: PLC0415 - the same

    result = errand.run(Request("flush", arguments.timeout))
    if arguments.json:
        sys.stdout.write(errand.to_json(result))
        return result.exit_code
    out = sys.stderr if errand.troubles(result) else sys.stdout
    out.write("\n".join([headline(result), *errand.lines(result)]) + "\n")
    if errand.total(result, "parked"):
        sys.stdout.write("parked windows: recost-collector spool list, spool retry or spool delete\n")
    return result.exit_code


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r}: want seconds, from 0 to {MOST_SECONDS:g}")
    return seconds
