"""``recost-collector purge``: list the files of recost of this user, and with ``--yes`` remove them."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from recost.leader import LEADER_LOCK, open_lock
from recost.system import try_lock, unlock

if TYPE_CHECKING:
    from recost_collector.belongings import Folder
    from recost_collector.spool_look import KeptSpool

LOCKS = {"runtime": LEADER_LOCK, "spool": "spool.lock"}
"""What a collector holds for as long as it works in a folder, by kind."""

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
        help="the files of recost but the telemetry: list them, and with --yes remove them",
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
        purged.left = sum(os.path.lexists(file.path) for folder in folders for file in folder.files)
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
        lock = "" if force else LOCKS.get(folder.kind, "")
        try:
            with _held(folder.path, lock):
                _remove_files(folder, lock, failed)
        except FileNotFoundError:  # the folder is gone
            continue
        except OSError as exc:
            failed[folder.path] = exc.strerror or str(exc)
        for path in (folder.path, os.path.dirname(folder.path)):
            with contextlib.suppress(OSError):  # not empty: somebody else's files
                if _is_named_after_us(path, folder):
                    os.rmdir(path)
    return failed


def _remove_files(folder: Folder, lock: str, failed: dict[str, str]) -> None:
    """The lock last: until then nobody takes up what is half removed."""
    path_of_lock = os.path.join(folder.path, lock)
    for path in (file.path for file in folder.files if file.path != path_of_lock):
        _remove(path, failed)
    if lock:
        _remove(path_of_lock, failed)  # it may be ours of just now


@contextlib.contextmanager
def _held(directory: str, lock: str) -> Iterator[None]:
    """Keep collectors out; an empty ``lock``: nobody needs one there. Raises ``OSError`` when one is at work."""
    if not lock:
        yield
        return
    fd = open_lock(directory, lock)
    try:
        if not try_lock(fd):
            raise BlockingIOError(errno.EWOULDBLOCK, "a collector has just started there")
        try:
            yield
        finally:
            unlock(fd)
    finally:
        os.close(fd)


def _is_named_after_us(path: str, folder: Folder) -> bool:
    """The directory itself, and of those above it ``~/.recost``."""
    return path == folder.path or os.path.basename(path) == ".recost"


def _remove(path: str, failed: dict[str, str]) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as exc:
        failed[path] = exc.strerror or str(exc)
