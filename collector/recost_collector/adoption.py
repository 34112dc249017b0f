"""Take over what other spools left behind: after a reboot, a removed container, a time when the disk took nothing.

Frames move in small steps: into our spool, then out of theirs.  A crash in between leaves a frame in both, and its
key tells at the next try, which comes before anything of it is delivered.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable

from recost.paths import boot_id
from recost_collector.changes import Changes, Kept, StoredFrame
from recost_collector.open_window import OpenWindow
from recost_collector.spool import Spool, SpoolTrouble, peek
from recost_collector.spool_place import Place, is_stale, orphans, remove
from recost_collector.spool_rows import UNREADABLE

STEP = 50
"""Frames that move in one transaction: at most so many bodies are in memory."""

logger = logging.getLogger("recost_collector")


def adopt(place: Place, runtime: str, spool: Spool, on_progress: Callable[[], None]) -> list[Changes]:
    """Adopt every spool that belongs to nobody, and what we kept elsewhere ourselves. Returns what was committed.

    One that cannot be read is left alone and told.  ``on_progress`` is called between two steps.
    """
    adopted: list[Changes] = []
    for orphan in orphans(place, runtime):
        try:
            if _may_adopt(orphan, place):
                adopted.extend(_adopt_one(orphan, place, spool, on_progress))
                continue
        except (SpoolTrouble, OSError, *UNREADABLE) as exc:
            logger.warning("an orphaned spool cannot be adopted and stays: %s: %s", orphan.directory, exc)
        except BaseException:
            orphan.release()
            raise
        orphan.release()
    return adopted


def _may_adopt(orphan: Place, place: Place) -> bool:
    """False while its rings may live: whoever leads there goes on with it."""
    if _is_ours(orphan, place):
        return True
    rings, boot = peek(orphan.directory)
    return not rings or boot != boot_id().hex() or is_stale(orphan.directory)


def _is_ours(orphan: Place, place: Place) -> bool:
    """The spool of our own runtime directory, at another place: the disk took none then, or takes none now."""
    return os.path.basename(orphan.directory) == os.path.basename(place.directory)


def _adopt_one(orphan: Place, place: Place, spool: Spool, on_progress: Callable[[], None]) -> list[Changes]:
    theirs = Spool(orphan.directory, boot_id().hex())
    try:
        kept = theirs.load()
        if _is_ours(orphan, place):
            ours = Changes()
            ours.cursors = kept.cursors
            spool.commit(ours)
        _close_windows(theirs, kept)
        _move_intents(orphan.directory, place.directory, spool)
        steps = [kept.frames[first : first + STEP] for first in range(0, len(kept.frames), STEP)]
        adopted = []
        for step in steps:
            on_progress()
            adopted.append(_move(step, kept, theirs, spool))
    finally:
        theirs.close()
    remove(orphan)
    logger.info("adopted a spool: %s frames=%d", orphan.directory, len(kept.frames))
    return adopted


def _close_windows(theirs: Spool, kept: Kept) -> None:
    """Their open windows get no more events: make frames of them, in their own spool first."""
    changes = Changes()
    for name, deltas in kept.deltas.items():
        window = OpenWindow(name, kept.sessions[name])
        window.restore(deltas, now=0.0)
        changes.closed_windows.append((name, window.number))
        changes.new_frames.extend(window.close(time.time_ns(), theirs.next_frame_id))
    if changes:
        theirs.commit(changes)
        kept.frames.extend(changes.new_frames)


def _move(step: list[StoredFrame], kept: Kept, theirs: Spool, spool: Spool) -> Changes:
    ours, gone = Changes(), Changes()
    gone.gone_frames = [frame.id for frame in step]
    for frame in step:
        frame.body = frame.body or theirs.body(frame.id)
        frame.id = spool.next_frame_id()
    ours.new_frames = step
    ours.sessions = {frame.session: kept.sessions[frame.session] for frame in step}
    ours.destinations = {
        frame.destination: kept.destinations[frame.destination] for frame in step if not spool.knows(frame.destination)
    }
    spool.commit(ours)
    theirs.commit(gone)
    for frame in step:
        frame.body = b""
    return ours


def _move_intents(source: str, target: str, spool: Spool) -> None:
    """What a file exporter noted down about a frame that was under way goes with that frame."""
    for name in os.listdir(source):
        if name.endswith(".intent") and not spool.has_frames(name.partition(".")[0]):
            with contextlib.suppress(OSError):
                os.replace(os.path.join(source, name), os.path.join(target, name))
