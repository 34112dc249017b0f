"""``recost-run COMMAND …``: capture in a program that does not know recost, and in every Python that it starts.

It puts a folder with a ``sitecustomize`` first on PYTHONPATH and becomes the command, with its pid.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from typing import NoReturn, Optional

from recost import __version__
from recost.config import resolve
from recost.variables import unread_variables

USAGE, NOT_EXECUTABLE, NOT_FOUND = 2, 126, 127
"""The last two as a shell has them."""

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_auto")

_HELP = """usage: recost-run COMMAND [ARGUMENT ...]

Runs COMMAND with recost in it, and in every Python process that it starts: workers, pools, tasks. The program needs
no change; recost must be installed in its environment. Settings are RECOST_* variables:

  RECOST_API_KEY, RECOST_PROJECT_ID   where windows go; without a key: ~/.recost/local-telemetry
  RECOST_ENVIRONMENT                  tag on all telemetry
  RECOST_EXCLUDE_HOSTS                hosts that are not captured, comma separated
  RECOST_ENABLED=0                    run COMMAND and capture nothing
  RECOST_DEBUG=1                      a line per call and flush, and why a process captures nothing
  every other setting likewise; the README lists them

examples:
  recost-run python script.py
  recost-run gunicorn app:app --workers 4
  RECOST_PROJECT_ID=shop recost-run uvicorn app:app --workers 2
  recost-run celery -A tasks worker

options:
  -h, --help     this text
  --version      the version of recost
"""


def main(argv: Optional[list[str]] = None) -> NoReturn:
    """The console script. Comes back only to leave: 2 usage, 126 not executable, 127 not found."""
    command = sys.argv[1:] if argv is None else argv
    if command[:1] == ["--"]:
        command = command[1:]
    elif command and command[0].startswith("-"):
        _answer_option(command[0])
    if not command or not command[0]:
        _leave(USAGE, "want a command, as in: recost-run python script.py")
    trouble = _trouble()
    if trouble:
        sys.stderr.write(f"recost-run: no calls are captured: {trouble}\n")
    for variable, why in unread_variables(os.environ).items():
        sys.stderr.write(f"recost-run: {variable} {why}\n")
    _become(command, dict(os.environ) if trouble else instrumented(os.environ))


def instrumented(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with our folder first on PYTHONPATH, once, and no other entry added or lost."""
    before = environ.get("PYTHONPATH", "")  # an empty entry would be the working directory
    entries = [FOLDER, *(entry for entry in before.split(os.pathsep) if before and entry != FOLDER)]
    return {**environ, "PYTHONPATH": os.pathsep.join(entries)}


def _trouble() -> str:
    """Why nothing can be captured; empty when all is well. Said here once, and not by each process of the program."""
    if os.pathsep in FOLDER:
        return f"{FOLDER!r} cannot be on PYTHONPATH, for it has a {os.pathsep!r} in it"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecated settings: the program's own init() says so
            resolve(None, {}, os.environ)
    except (ValueError, ImportError) as error:
        return str(error)
    return ""


def _become(command: list[str], environ: dict[str, str]) -> NoReturn:
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606 - what the user gave us to run
    except (FileNotFoundError, NotADirectoryError):
        _leave(NOT_FOUND, f"command not found: {command[0]}")
    except (OSError, ValueError) as error:  # the latter: a NUL among the arguments
        _leave(NOT_EXECUTABLE, f"cannot run {command[0]}: {getattr(error, 'strerror', None) or error}")


def _answer_option(option: str) -> NoReturn:
    if option in {"-h", "--help"}:
        sys.stdout.write(_HELP)
        sys.exit(0)
    if option == "--version":
        sys.stdout.write(f"recost {__version__}\n")
        sys.exit(0)
    _leave(USAGE, f"no such option: {option}; want a command, as in: recost-run python script.py")


def _leave(code: int, text: str) -> NoReturn:
    sys.stderr.write(f"recost-run: {text}\n" + "see recost-run --help\n" * (code == USAGE))
    sys.exit(code)


if __name__ == "__main__":
    main()
