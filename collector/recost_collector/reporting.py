"""What ``recost-collector report`` does: read, add up, and say it in the form that was asked for."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from datetime import datetime, timezone
from typing import Optional

from recost.paths import absolute, local_dir
from recost_collector import figures
from recost_collector.history import History
from recost_collector.statement import to_csv, to_json, to_text
from recost_collector.tally import Wanted
from recost_collector.window_line import REASONS
from recost_collector.words import in_words

OK, UNREACHABLE = 0, 4
"""Of the exit codes of ``recost-collector``, those that this command gives itself."""

_HOW_TO_GET_DATA = """\
A program writes its file there after the first call that it made under recost.init(), when a window closes (after
30 s, if not set otherwise). With an API key windows go to the cloud and not to a file. RECOST_LOCAL_DIR moves the
directory; --dir reads another one. recost-collector flush closes the windows now, recost-collector doctor finds what is
wrong."""


def run(arguments: argparse.Namespace) -> int:
    directory = arguments.dir or local_dir()
    with_views = arguments.html is not None or arguments.by in {"tag", "model"}
    history = History(Wanted(arguments.since, with_views, over_time=arguments.html is not None))
    try:
        history.read(directory, arguments.project)
    except OSError as exc:
        if arguments.dir or not isinstance(exc, FileNotFoundError):  # before the first call there is no directory
            _complain(f"cannot read {figures.printable(directory)}: {in_words(exc)}{_mend_reading(exc)}")
            return UNREACHABLE
    nothing = "" if history.windows else _why_nothing(history, directory, arguments.project)
    if arguments.html is not None or arguments.csv is not None:
        if not _write(history, directory, arguments):
            return UNREACHABLE
    elif arguments.json:
        sys.stdout.write(to_json(history, directory, arguments.project, arguments.by))
    else:
        width = shutil.get_terminal_size((0, 0)).columns
        sys.stdout.write(nothing or to_text(history, directory, arguments.by, width))
        nothing = ""
    sys.stderr.write(nothing)
    sys.stderr.write(_troubles(history))
    return UNREACHABLE if history.unread else OK


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


def _write(history: History, directory: str, arguments: argparse.Namespace) -> bool:
    """The page, or the rows for a spreadsheet. False: the file takes none, which is said."""
    if arguments.csv is not None:
        name, text = arguments.csv, to_csv(history, arguments.by)
    else:
        from recost_collector.page import to_html  # noqa: PLC0415 - the other forms need none of it

        name, text = arguments.html, to_html(history, directory, datetime.now(timezone.utc))
    if name == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        return True
    path = absolute(name)
    try:
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as exc:
        _complain(f"cannot write {figures.printable(path)}: {_why_unwritten(path, exc)}")
        return False
    cost = figures.money(history.books().total().cost_pico_usd)
    sys.stdout.write(f"{figures.printable(path)}: {figures.plural(history.windows, 'window')}, {cost}\n")
    return True


def _why_unwritten(path: str, exc: OSError) -> str:
    folder = os.path.dirname(path)
    if os.path.isdir(folder):
        return in_words(exc)
    return f"there is no folder {figures.printable(folder)}; make it, or name a file in another one"


def _mend_reading(exc: OSError) -> str:
    return "; --dir names the folder of the files" if isinstance(exc, (FileNotFoundError, NotADirectoryError)) else ""


def _complain(text: str) -> None:
    sys.stderr.write(f"recost-collector report: {text}\n")


def _troubles(history: History) -> str:
    lines = [f"cannot read {path}: {why}; its windows are missing above" for path, why in history.unread.items()]
    lines += [
        f"{path}: skipped {figures.plural(number, 'line')}: {REASONS[reason]}"
        for (path, reason), number in history.skipped.items()
    ]
    return "".join(f"recost-collector report: {figures.printable(line)}\n" for line in lines)
