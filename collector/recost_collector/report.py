"""``recost-collector report``: what the calls in the local files cost, the total first."""

from __future__ import annotations

import argparse
import re
from datetime import datetime, timedelta, timezone

from recost.paths import absolute

BY = ("endpoint", "environment", "model", "provider", "tag")
"""The names of ``books.GROUPINGS``."""

_SPAN = re.compile(r"([0-9]{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_EPILOG = """\
examples:
  recost-collector report                              everything, per provider and endpoint
  recost-collector report --since 7d --by provider     what each provider cost in the last week
  recost-collector report --since 2026-11-21T10:00     since a moment, in UTC
  recost-collector report --by model                   what each LLM cost, and all that is none
  recost-collector report --by tag                     per recost.feature_tag(), and what has none
  recost-collector report --json | jq .total.costCents
  recost-collector report --by model --csv spend.csv
  recost-collector report --since 30d --html spend.html

--json prints one object. Fields ending in Cents are US cents; times are UTC, null without any window:
  directory, project, since, by       what was asked for
  projects, windows                   what was found: names, number of windows
  firstWindow, lastWindow             start of the first window, end of the last
  total, and each of groups[]         calls, errors, errorPercent, meanLatencyMs, maxP50LatencyMs,
                                      maxP95LatencyMs (the highest of the windows' p50 and p95; those of total are
                                      the highest, and its mean is the mean, of the groups), requestBytes,
                                      responseBytes (both null in groups by model), costCents
  each of groups[] also               provider, endpoint, environment, model, tag: those that it is grouped by
                                      (the tag of the calls that have none is (untagged), see below);
                                      unpricedCalls: by model, those of which nobody knows the price
  skippedLines                        unreadable, unfinished, unknownVersion: numbers of lines
  unreadFiles                         paths

--by tag: (untagged) is the difference between all calls and the tagged ones. A percentile of a difference cannot be
told: its p50 and p95 are the highest of the endpoints that have untagged calls, of their tagged ones, too.

--by model: the calls of patched SDKs and recost.track(). (no model) is the difference between all calls and these: a
call that was tracked by hand and captured, too, is one of each. Its latencies are those of all captured requests, the
ones within LLM calls, too; the models' are of whole LLM calls.

Exit code 4: the directory given, or a file in it, cannot be read (the other files are reported), or FILE not written.
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
        choices=BY,
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
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object instead of text")
    form.add_argument("--csv", metavar="FILE", nargs="?", const="-", help="comma separated, a row for each group")
    form.add_argument("--html", metavar="FILE", help="one page with charts and tables of everything; - for stdout")
    command.set_defaults(act=_run)


def _run(arguments: argparse.Namespace) -> int:
    from recost_collector import reporting  # noqa: PLC0415 - the other commands need none of it

    return reporting.run(arguments)


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
