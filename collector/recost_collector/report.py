"""``recost-collector report``: what the calls in the local files cost, the total first."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from datetime import datetime, timedelta, timezone
from typing import Optional, TextIO

from recost.paths import absolute, local_dir
from recost_collector import figures
from recost_collector.history import GROUPINGS, History
from recost_collector.statement import to_json, to_text
from recost_collector.window_line import REASONS

OK, UNREACHABLE = 0, 4
"""Of the exit codes of ``recost-collector``, those that this command gives itself."""

_SPAN = re.compile(r"([0-9]{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_HOW_TO_GET_DATA = """\
A program writes its file there after the first call that it made under recost.init(), when a window closes (after
30 s, if not set otherwise). With an API key windows go to the cloud and not to a file. RECOST_LOCAL_DIR moves the
directory; --dir reads another one."""
_EPILOG = """\
examples:
  recost-collector report                              everything, per provider and endpoint
  recost-collector report --since 7d --by provider     what each provider cost in the last week
  recost-collector report --since 2026-11-21T10:00     since a moment, in UTC
  recost-collector report --by model                   what each LLM cost, and all that is none
  recost-collector report --by tag                     per recost.feature_tag(), and what has none
  recost-collector report --json | jq .total.costCents

--json prints one object. Fields ending in Cents are US cents; times are UTC, null without any window:
  directory, project, since, by       what was asked for
  projects, windows                   what was found: names, number of windows
  firstWindow, lastWindow             start of the first window, end of the last
  total, and each of groups[]         calls, errors, errorPercent, maxP50LatencyMs, maxP95LatencyMs (the highest of
                                      the windows' p50 and p95), requestBytes, responseBytes, costCents
  each of groups[] also               provider, endpoint, environment, model, tag: those that it is grouped by
                                      (the tag of the calls that have none is (untagged), see below)
  skippedLines                        unreadable, unfinished, unknownVersion: numbers of lines
  unreadFiles                         paths

--by tag: (untagged) is the difference between all calls and the tagged ones. A percentile of a difference cannot be
told: its p50 and p95 are the highest of the endpoints that have untagged calls, of their tagged ones, too.

--by model: the calls of patched SDKs and recost.track(). (no model) is the difference between all calls and these: a
call that was tracked by hand and captured, too, is one of each.

Exit code 4: the directory given, or a file in it, cannot be read; the other files are reported.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "report",
        help="calls, errors, p95 and cost from the local files",
        description="Adds up the windows in the local telemetry files, rotated ones too: cost, calls, errors, latency.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--since",
        type=_since,
        metavar="WHEN",
        help="only windows that start then or later: 30m, 24h, 7d ago, or an ISO date or time, UTC unless it has an"
        " offset (default: all there is)",
    )
    command.add_argument(
        "--by",
        choices=sorted(GROUPINGS),
        default="endpoint",
        help="what makes a row (default: endpoint, within its provider)",
    )
    command.add_argument("--project", metavar="NAME", help="only the files of this project (default: all)")
    command.add_argument(
        "--dir",
        type=_directory,
        metavar="DIR",
        help="the files' directory (default: RECOST_LOCAL_DIR, or else ~/.recost/local-telemetry)",
    )
    command.add_argument("--json", action="store_true", help="one JSON object instead of text")
    command.set_defaults(act=run)


def run(arguments: argparse.Namespace) -> int:
    directory = arguments.dir or local_dir()
    history = History(GROUPINGS[arguments.by], arguments.since)
    try:
        history.read(directory, arguments.project)
    except OSError as exc:
        if arguments.dir or not isinstance(exc, FileNotFoundError):  # before the first call there is no directory
            _write(sys.stderr, f"recost-collector report: cannot read {figures.printable(directory)}: {exc.strerror}\n")
            return UNREACHABLE
    nothing = "" if history.windows else _why_nothing(history, directory, arguments.project)
    if arguments.json:
        _write(sys.stdout, to_json(history, directory, arguments.project, arguments.by))
        _write(sys.stderr, nothing)
    else:
        _write(sys.stdout, nothing or to_text(history, directory, shutil.get_terminal_size((0, 0)).columns))
    _write(sys.stderr, _troubles(history))
    return UNREACHABLE if history.unread else OK


def parse_since(text: str, now: datetime) -> datetime:
    """The moment that ``--since`` names: a span before ``now``, or an ISO date or time, UTC unless it has an offset.

    Raises ``ValueError``.
    """
    span = _SPAN.fullmatch(text)
    if span:
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    moment = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)  # 3.9 knows no Z
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def _since(text: str) -> datetime:
    try:
        return parse_since(text, datetime.now(timezone.utc))
    except ValueError:
        want = "want 30m, 24h, 7d, or an ISO date or time like 2026-11-21 or 2026-11-21T10:00:00Z"
        raise argparse.ArgumentTypeError(f"{text!r}: {want}") from None


def _directory(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: want a directory")
    return absolute(text)


def _why_nothing(history: History, directory: str, project: Optional[str]) -> str:
    where = figures.printable(directory)
    if not history.known_projects:
        return f"No telemetry in {where} yet.\n{_HOW_TO_GET_DATA}\n"
    if project is not None and project not in history.known_projects:
        return (
            f"No file of project {project!r} in {where}. It has files of: {figures.listing(history.known_projects)}.\n"
        )
    if history.since is not None and history.newest is not None:
        since, newest = figures.utc_seconds(history.since), figures.utc_seconds(history.newest)
        return f"No window in {where} since {since} UTC; the newest one starts at {newest} UTC.\n"
    return f"The files in {where} hold no window.\n"


def _troubles(history: History) -> str:
    lines = [f"cannot read {path}: {why}; its windows are missing above" for path, why in history.unread.items()]
    lines += [
        f"{path}: skipped {figures.plural(number, 'line')}: {REASONS[reason]}"
        for (path, reason), number in history.skipped.items()
    ]
    return "".join(f"recost-collector report: {figures.printable(line)}\n" for line in lines)


def _write(stream: TextIO, text: str) -> None:
    """A character that the terminal's encoding lacks becomes ``?``."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
