"""``recost-collector purge``: list all files of recost of this user, and with ``--yes`` remove them."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from recost.leader import LEADER_LOCK

if TYPE_CHECKING:
    from recost_collector.belongings import Folder
    from recost_collector.spool_look import KeptSpool

_EPILOG = """\
examples:
  recost-collector purge                   what there is, and what would be lost
  recost-collector purge --yes             remove it: when recost is uninstalled, or to begin anew
  recost-collector purge --local --yes     the telemetry files, too

Files are known by their names and places (RECOST_RUNTIME_DIR, RECOST_STATE_DIR, RECOST_LOCAL_DIR and the defaults);
others in these directories stay. While a collector or a worker lives it refuses: end them first. --force removes the
files all the same and ends nobody: workers that live make their rings again.

Exit code 0: listed, or removed, 1: refused because somebody is at work, or something could not be removed.

--json prints one object: exit_code, removed (the number of files), folders[] (path, kind, used_by, uncollected_bytes,
files[]: path, bytes), windows_waiting, windows_parked and open_windows (what is lost with them), failed[].
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "purge",
        help="all files of recost: list them, and with --yes remove them",
        description="Lists all files of recost of this user and what would be lost with them; removes them with --yes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--yes", action="store_true", help="remove them")
    command.add_argument("--local", action="store_true", help="the local telemetry files, too")
    command.add_argument("--force", action="store_true", help="also while a collector or workers live")
    command.add_argument("--json", action="store_true", help="one JSON object instead of text")
    command.set_defaults(act=_run)


def _run(arguments: argparse.Namespace) -> int:
    from recost_collector import belongings, purge_text, spool_look  # noqa: PLC0415 - only when it is needed

    spools = spool_look.look()  # first: SQLite may make files beside a spool that is read
    folders = belongings.find(local=arguments.local)
    purged = purge_text.Purged(folders, _spools_in(folders, spools))
    if not arguments.local:
        purged.kept = belongings.telemetry()
    if arguments.yes and purged.users and not arguments.force:
        purged.exit_code = 1
    elif arguments.yes:
        purged.was_removed = True
        purged.failed = _remove_all(folders, force=arguments.force)
        purged.exit_code = 1 if purged.failed else 0
    if arguments.json:
        sys.stdout.write(purge_text.to_json(purged))
        return purged.exit_code
    sys.stdout.write(purge_text.to_text(purged, asked_to_remove=arguments.yes))
    for line in purge_text.complaints(purged):
        sys.stderr.write(f"recost-collector purge: {line}\n")
    return purged.exit_code


def _spools_in(folders: list[Folder], spools: list[KeptSpool]) -> list[KeptSpool]:
    paths = {folder.path for folder in folders}
    return [spool for spool in spools if spool.directory in paths]


def _remove_all(folders: list[Folder], *, force: bool) -> dict[str, str]:
    """Remove the files, then the directories that are empty. Gives what could not be removed, and why."""
    failed: dict[str, str] = {}
    for folder in folders:
        with contextlib.ExitStack() as held:
            if folder.kind == "runtime" and not force and not _keep_collectors_out(folder.path, held):
                failed[folder.path] = "a collector has just started there"
                continue
            for file in folder.files:
                _remove(file.path, failed)
            if folder.kind == "runtime" and not force:
                _remove(os.path.join(folder.path, LEADER_LOCK), failed)  # ours of just now, if there was none
        for path in (folder.path, os.path.dirname(folder.path)):
            with contextlib.suppress(OSError):  # not empty: somebody else's files
                if _is_named_after_us(path, folder):
                    os.rmdir(path)
    return failed


def _is_named_after_us(path: str, folder: Folder) -> bool:
    """The directory itself, and of those above it ``~/.recost``."""
    return path == folder.path or os.path.basename(path) == ".recost"


def _keep_collectors_out(directory: str, held: contextlib.ExitStack) -> bool:
    """Hold the leader lock until ``held`` ends. False: somebody has it."""
    from recost_collector.election import Election  # noqa: PLC0415 - only when something is removed

    election = Election(directory)
    if not election.win(0.0):
        return False
    held.callback(election.resign)
    return True


def _remove(path: str, failed: dict[str, str]) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as exc:
        failed[path] = exc.strerror or str(exc)
