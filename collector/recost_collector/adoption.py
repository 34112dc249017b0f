"""Take over what other spools on this state directory left behind: after a reboot, a removed container.

Frames move in small steps: into our spool, then out of theirs.  A crash in between leaves a frame in both, and its
key tells at the next try, which comes before anything is delivered.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time

from recost.paths import boot_id
from recost_collector.changes import Changes, Kept, StoredFrame
from recost_collector.open_window import OpenWindow
from recost_collector.service import Service
from recost_collector.spool import Spool, SpoolTrouble
from recost_collector.spool_place import Place, is_stale, orphans, remove

STEP = 50
"""Frames that move in one transaction: at most so many bodies are in memory."""

logger = logging.getLogger("recost_collector")


def adopt(place: Place, spool: Spool, service: Service) -> None:
    """Adopt every spool beside ours that belongs to nobody. One that cannot be read is left alone and told."""
    for orphan in orphans(place):
        try:
            _adopt_one(orphan, place, spool, service)
        except (SpoolTrouble, OSError, ValueError, KeyError) as exc:
            logger.warning("an orphaned spool cannot be adopted and stays: %s: %s", orphan.directory, exc)
            orphan.release()


def _adopt_one(orphan: Place, place: Place, spool: Spool, service: Service) -> None:
    stale = is_stale(orphan.directory)
    theirs = Spool(orphan.directory, boot_id().hex())
    try:
        kept = theirs.load()
        if kept.cursors and not theirs.rebooted and not stale:
            orphan.release()  # its rings may live: whoever leads there goes on with it
            return
        _close_windows(theirs, kept)
        _move_intents(orphan.directory, place.directory, service)
        moved = _move_frames(theirs, kept, spool, service)
    finally:
        theirs.close()
    remove(orphan)
    logger.info("adopted an orphaned spool: %s frames=%d", orphan.directory, moved)


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


def _move_frames(theirs: Spool, kept: Kept, spool: Spool, service: Service) -> int:
    moved = 0
    for first in range(0, len(kept.frames), STEP):
        step = kept.frames[first : first + STEP]
        ours, gone = Changes(), Changes()
        gone.gone_frames = [frame.id for frame in step]
        for frame in step:
            _take_in(frame, theirs, spool)
        ours.new_frames = step
        ours.sessions = {frame.session: kept.sessions[frame.session] for frame in step}
        ours.destinations = {frame.destination: kept.destinations[frame.destination] for frame in step}
        spool.commit(ours)
        theirs.commit(gone)
        for frame in step:
            frame.body = b""
        service.take_over(ours)
        moved += len(step)
    return moved


def _take_in(frame: StoredFrame, theirs: Spool, spool: Spool) -> None:
    frame.body = frame.body or theirs.body(frame.id)
    frame.id = spool.next_frame_id()
    frame.settled, frame.parts = True, ()  # its rings are gone, nobody waits for it


def _move_intents(source: str, target: str, service: Service) -> None:
    """What a file exporter noted down about a frame that was under way goes with that frame."""
    for name in os.listdir(source):
        lane = service.delivery.lanes.get(name.partition(".")[0])
        if name.endswith(".intent") and (lane is None or not lane.frames):
            with contextlib.suppress(OSError):
                os.replace(os.path.join(source, name), os.path.join(target, name))
