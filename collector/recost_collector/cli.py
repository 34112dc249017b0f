"""``recost-collector``: run a collector, ask how things stand, report what was spent.

Exit codes: 0 fine, also idle; 1 unhealthy; 2 usage; 3 no collector although rings or spool hold something;
4 what was asked for cannot be reached; 130 ended by Ctrl-C before it was through.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from typing import Any, NoReturn, Optional

from recost import __version__
from recost.errors import RecostError
from recost_collector.words import about_file

OK, UNHEALTHY, USAGE, NOT_RUNNING, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130

_EXAMPLES = """examples:
  recost-collector status                  how rings, spool and delivery stand
  recost-collector report --since 7d       what the last week cost, from the local files
  recost-collector report --html spend.html
                                           the same as a page with charts
  recost-collector top                     what is being called now, by all workers
  recost-collector flush                   deliver now what was recorded, and say what came of it
  recost-collector spool list              what waits on disk, and what was refused and why
  recost-collector doctor                  what is wrong with this host, and what to do
  recost-collector doctor --rings          what is in the rings, also of workers that died
  recost-collector run                     lead in the foreground: systemd, a sidecar, a container
"""


_INVALID = re.compile(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)")


class _Parser(argparse.ArgumentParser):
    """One that names what somebody may have meant. Those of the commands are of this class, too."""

    def error(self, message: str) -> NoReturn:
        if message.endswith(("required: COMMAND", "required: ACTION")):  # then what there is helps more than a usage
            self.print_help(sys.stderr)
            self.exit(USAGE, f"\n{self.prog}: error: {message}\n")
        found = _INVALID.search(message)
        if found is not None:
            from recost.nearest import did_you_mean  # noqa: PLC0415 - for those who misspell

            message += did_you_mean(found[1], re.findall(r"[\w-]+", found[2]))
        super().error(message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # two overloads of argparse's
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:  # said by the command that was given them, and not by the one above it
            from recost.nearest import did_you_mean  # noqa: PLC0415 - for those who misspell

            known = set(re.findall(r"--[\w-]+", self.format_help()))
            self.error(f"unrecognized arguments: {' '.join(unknown)}{did_you_mean(unknown[0], known)}")
        return found, unknown


def main(argv: Optional[list[str]] = None) -> int:
    """The console script. Never a traceback for what a user can get wrong."""
    _make_streams_safe()
    arguments = argparse.Namespace()
    try:
        _parser().parse_args(argv, arguments)
        code: int = arguments.act(arguments)
        sys.stdout.flush()  # a full disk and a reader who has gone are met here, and not at the interpreter's end
    except BrokenPipeError:  # the reader of our output has seen enough
        _leave_unsaid()
        return OK
    except (OSError, RecostError) as exc:
        sys.stderr.write(f"recost-collector: {about_file(exc) if isinstance(exc, OSError) else exc}\n")
        _leave_unsaid()
        return UNREACHABLE
    except KeyboardInterrupt:
        return OK if getattr(arguments, "ends_by_ctrl_c", False) else INTERRUPTED
    return code


def _leave_unsaid() -> None:
    """What of our output cannot be written is not tried again at the interpreter's end, which would say so again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_streams_safe() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell: >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for as long as we run
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character that the terminal's encoding lacks becomes ?


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="recost-collector",
        description="Collects what the workers of this host have recorded, and tells what it cost.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"recost {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_status(commands)
    _add_report(commands)
    _add_top(commands)
    _add_doctor(commands)
    _add_steering(commands)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "run",
        help="lead in the foreground until SIGTERM",
        description="Lead in the foreground until SIGTERM, with the log on stderr. Workers start no collector of their"
        ' own while it leads; with collector="external" they never do. Under systemd it is a service of Type=notify and'
        " answers the watchdog.",
    )
    command.set_defaults(act=_run, ends_by_ctrl_c=True)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "status",
        help="whether all is well, and if not, why and what to do",
        description="Says whether all is well, and if not, why and what to do, then how rings, spool and delivery"
        " stand. Reads shared memory and the spool, so it answers also when the collector hangs."
        " Exit code 0: fine or idle, 1: unhealthy, 3: nobody collects although something waits.",
    )
    command.add_argument("--json", action="store_true", help="one JSON object instead of text: docs/status.schema.json")
    command.set_defaults(act=_status)


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from recost_collector import report  # noqa: PLC0415 - each command imports what it needs when it is needed

    report.add_command(commands)


def _add_top(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from recost_collector import top  # noqa: PLC0415 - each command imports what it needs when it is needed

    top.add_command(commands)


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from recost_collector import doctor  # noqa: PLC0415 - each command imports what it needs when it is needed

    doctor.add_command(commands)


def _add_steering(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from recost_collector import flush, purge, spool_command  # noqa: PLC0415 - each command imports what it needs

    flush.add_command(commands)
    spool_command.add_command(commands)
    purge.add_command(commands)


def _run(_arguments: argparse.Namespace) -> int:
    import contextlib  # noqa: PLC0415 - each command imports what it needs when it is needed
    import logging  # noqa: PLC0415 - each command imports what it needs when it is needed

    from recost.leader import read_leader  # noqa: PLC0415 - the same
    from recost.paths import open_private_dir, runtime_dir  # noqa: PLC0415 - the same
    from recost_collector import process  # noqa: PLC0415 - the same
    from recost_collector.supervisor import Supervisor  # noqa: PLC0415 - the same

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    directory = runtime_dir()
    os.close(open_private_dir(directory))
    with contextlib.closing(Supervisor()) as supervisor:
        if process.run(directory, "run", patience_s=3.0, supervisor=supervisor):
            return OK
    leader = read_leader(directory)
    who = f"pid {leader.pid} ({leader.kind})" if leader is not None else "another process"
    mend = f"; it does the work, and to take its place end it first: kill {leader.pid}" if leader is not None else ""
    sys.stderr.write(f"recost-collector: {who} already leads in {directory}{mend}\n")
    return UNHEALTHY


def _status(arguments: argparse.Namespace) -> int:
    import shutil  # noqa: PLC0415 - each command imports what it needs, when it does

    from recost_collector import status, status_look, status_text  # noqa: PLC0415 - the same
    from recost_collector.paint import Painter  # noqa: PLC0415 - the same

    found = status_look.gather()
    width = shutil.get_terminal_size((0, 0)).columns
    text = status.to_json(found) if arguments.json else status_text.to_text(found, Painter(sys.stdout), width)
    sys.stdout.write(text)
    return found.exit_code


if __name__ == "__main__":
    sys.exit(main())
