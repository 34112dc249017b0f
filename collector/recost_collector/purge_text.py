"""What a purge found and did, as a person and as a program reads it."""

from __future__ import annotations

from typing import Optional

from recost_collector.belongings import Folder
from recost_collector.figures import as_json, plural, printable, size
from recost_collector.spool_look import KeptSpool

SHOWN = 20


class Purged:
    """What was found, and what came of it."""

    def __init__(self, folders: list[Folder], spools: list[KeptSpool]) -> None:
        self.folders = folders
        self.spools = spools
        self.kept: Optional[Folder] = None
        """Telemetry files that nobody asked to remove."""
        self.was_removed = False
        self.failed: dict[str, str] = {}
        """Files and folders, with the reason."""
        self.left = 0
        """Files that were to be removed and are there still."""
        self.exit_code = 0

    @property
    def users(self) -> list[str]:
        return list(dict.fromkeys(user for folder in self.folders for user in folder.used_by))

    def windows(self, state: str) -> int:
        return sum(window.state == state for spool in self.spools for window in spool.windows)

    @property
    def open_windows(self) -> int:
        return sum(spool.open_windows for spool in self.spools)

    @property
    def files(self) -> int:
        return sum(len(folder.files) for folder in self.folders)


def to_json(purged: Purged) -> str:
    found = {
        "exit_code": purged.exit_code,
        "removed": purged.files - purged.left if purged.was_removed else 0,
        "folders": purged.folders,
        "windows_waiting": purged.windows("waiting"),
        "windows_parked": purged.windows("parked"),
        "open_windows": purged.open_windows,
        "failed": [{"path": path, "why": why} for path, why in purged.failed.items()],
    }
    return as_json(found)


def to_text(purged: Purged, *, asked_to_remove: bool) -> str:
    lines: list[str] = []
    for folder in purged.folders:
        lines += _folder_lines(folder)
    lines += _loss(purged)
    if purged.kept is not None and purged.kept.files:
        lines.append(f"kept, --local removes them, too: {_sum(purged.kept)}")
    lines.append(_verdict(purged, asked_to_remove=asked_to_remove))
    return "\n".join(map(printable, lines)) + "\n"


def complaints(purged: Purged) -> list[str]:
    """For stderr."""
    return [printable(f"cannot remove {path}: {why}") for path, why in purged.failed.items()]


def _folder_lines(folder: Folder) -> list[str]:
    lines = [_sum(folder)]
    lines += [f"  {file.path}  {size(file.bytes)}" for file in folder.files[:SHOWN]]
    if len(folder.files) > SHOWN:
        lines.append(f"  and {len(folder.files) - SHOWN:,} more")
    return lines


def _sum(folder: Folder) -> str:
    total = sum(file.bytes for file in folder.files)
    return f"{folder.kind} {folder.path}: {plural(len(folder.files), 'file')}, {size(total)}"


def _loss(purged: Purged) -> list[str]:
    waiting, parked, is_open = purged.windows("waiting"), purged.windows("parked"), purged.open_windows
    uncollected = sum(folder.uncollected_bytes for folder in purged.folders)
    parts = [
        f"{plural(waiting, 'window')} not delivered yet" if waiting else "",
        f"{plural(parked, 'parked window')}" if parked else "",
        f"{plural(is_open, 'window')} not closed yet" if is_open else "",
        f"{size(uncollected)} of calls in rings that nobody has collected" if uncollected else "",
    ]
    lost = ", ".join(part for part in parts if part)
    if not lost:
        return []
    if purged.was_removed:
        return [f"lost with it: {lost}"]
    return [f"what would be lost: {lost}; recost-collector flush delivers what can be"]


def _verdict(purged: Purged, *, asked_to_remove: bool) -> str:
    if not purged.files:
        return "no files of recost"
    if purged.was_removed:
        return f"removed: {plural(purged.files - purged.left, 'file')}"
    if asked_to_remove:
        users = ", ".join(purged.users[:5]) + (f" and {len(purged.users) - 5} more" if len(purged.users) > 5 else "")
        return f"refused, nothing was removed: still at work: {users}; end them first (or --force)"
    return f"nothing was removed: --yes removes {plural(purged.files, 'file')}"
