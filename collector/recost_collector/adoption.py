"""Take over what other spools left behind: after a reboot, a removed container, a time when the disk took nothing.

Frames move in small steps: into our spool, then out of theirs.  A crash in between leaves a frame in both, and its
key tells at the next try, which comes before anything of it is delivered.  Where theirs cannot be written any more, the
step is taken back.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import zlib
from collections.abc import Callable

from recost.origins import boot_id
from recost.ring.files import RING_PREFIX
from recost.ring.reader import Cursor
from recost_collector.changes import FINISHED, Changes, DestinationState, Kept, StoredFrame
from recost_collector.credits import Held
from recost_collector.exporters import INTENT
from recost_collector.open_window import OpenWindow, with_credits
from recost_collector.spool import Fenced, Spool, SpoolDamaged, SpoolTrouble
from recost_collector.spool_peek import Peek, peek, undo_unfinished
from recost_collector.spool_place import Place, Written, is_stale, last_written, orphans, remove
from recost_collector.spool_rows import UNREADABLE

ADDED = "adopted"
"""The number under which a spool notes whose counters it has added last."""
STEP = 50
"""Frames that move in one transaction: at most so many bodies are in memory."""

logger = logging.getLogger("recost_collector")


class Adoption:
    """Of every spool that belongs to nobody, and of what we kept elsewhere ourselves. The leader's alone."""

    def __init__(self, place: Place, runtime: str, spool: Spool, on_progress: Callable[[], None]) -> None:
        """``on_progress`` is called between two steps."""
        self._place = place
        self._runtime = runtime
        self._spool = spool
        self._on_progress = on_progress
        self._damaged: set[str] = set()
        self._peeks: dict[str, tuple[Written, Peek]] = {}
        """What is in those that may not be adopted yet, for as long as nobody writes them: to look is to read all."""
        self._is_first = True

    def look(self) -> list[Changes]:
        """Adopt what there is. Returns what was committed. One that cannot be read is left alone and told."""
        adopted: list[Changes] = []
        for orphan in orphans(self._place, self._runtime):
            try:
                if orphan.directory not in self._damaged and self._take_up(orphan):
                    adopted.extend(self._adopt(orphan))
                    continue
            except (SpoolTrouble, OSError, *UNREADABLE) as exc:
                logger.warning("an orphaned spool cannot be adopted and stays: %s: %s", orphan.directory, exc)
                if isinstance(exc, SpoolDamaged):
                    self._damaged.add(orphan.directory)
            except BaseException:
                orphan.release()
                raise
            orphan.release()
        self._is_first = False
        return adopted

    def _take_up(self, orphan: Place) -> bool:
        """True: it is to be adopted. False while its rings may live: whoever leads there goes on with it."""
        found = self._peek(orphan.directory)
        is_ours = self._is_ours(orphan, found)
        if found.has_rings and found.boot == boot_id().hex() and not is_ours and not is_stale(orphan.directory):
            return False
        if self._is_first and is_ours:  # later on it is we who have read the rings further
            self._go_on_from(found)
        return True

    def _peek(self, directory: str) -> Peek:
        before = self._peeks.pop(directory, None)
        if before is None or before[0] != last_written(directory):
            undo_unfinished(directory)
            found = peek(directory)
            before = last_written(directory), found  # later, for to look at it makes files
        self._peeks[directory] = before
        return before[1]

    def _is_ours(self, orphan: Place, found: Peek) -> bool:
        """Written by a leader of our own runtime directory.

        Under its id at another place: the disk took none then, or takes none now.  Under another id, with rings that
        are here: the directory was removed, and the owners of those rings have made it and them again.
        """
        if os.path.basename(orphan.directory) == os.path.basename(self._place.directory):
            return True
        return not {RING_PREFIX + name for name in found.cursors}.isdisjoint(os.listdir(self._runtime))

    def _go_on_from(self, found: Peek) -> None:
        """It was we who wrote it: begin to read at its cursors, also when the disk takes nothing and it stays."""
        known = self._spool.cursors()
        ours = Changes()
        ours.cursors = {
            ring: cursor
            for ring, cursor in found.cursors.items()
            if ring not in known or _is_behind(known[ring], cursor)
        }
        if ours.cursors:
            self._spool.commit(ours)

    def _adopt(self, orphan: Place) -> list[Changes]:
        theirs = Spool(orphan.directory, boot_id().hex())
        try:
            if theirs.moved_aside:
                raise SpoolDamaged(f"it is kept as {theirs.moved_aside}")
            kept = theirs.load()
            held = _close_windows(theirs, kept)
            _move_intents(orphan.directory, self._place.directory, self._spool)
            adopted = self._move_all(kept, held, theirs)
        finally:
            theirs.close()
        self._peeks.pop(orphan.directory, None)
        remove(orphan)
        logger.info("adopted a spool: %s frames=%d", orphan.directory, len(kept.frames))
        return adopted

    def _move_all(self, kept: Kept, held: dict[str, Held], theirs: Spool) -> list[Changes]:
        adopted = []
        for step in [kept.frames[first : first + STEP] for first in range(0, len(kept.frames), STEP)]:
            self._on_progress()
            adopted.append(_move(step, kept, theirs, self._spool))
        adopted.append(_add_once(kept, held, theirs, self._spool))
        return adopted


def _is_behind(one: Cursor, other: Cursor) -> bool:
    if one.position == other.position:
        return other.sequence == FINISHED
    return one.position < other.position


def _close_windows(theirs: Spool, kept: Kept) -> dict[str, Held]:
    """Their open windows get no more events: make frames of them, in their own spool first. Returns their credits.

    These stay there, too, until they are ours: a try that fails or is killed on the way is not the last one.
    """
    changes, held = Changes(), dict[str, Held]()
    for name, deltas in kept.deltas.items():
        session = kept.sessions[name]
        window = OpenWindow(name, session)
        window.restore(deltas, now=0.0)
        if window.count:
            changes.closed_windows.append((name, window.number))
            changes.new_frames.extend(window.close(time.time_ns(), theirs.next_frame_id))
        if window.holds_credits:
            held[name] = window.credits
            changes.deltas.append((name, window.number + 1, with_credits(None, held[name])))
    for frame in changes.new_frames:
        if frame.destination not in kept.destinations:  # that of a log, which had no frame before
            place = kept.sessions[frame.session].place(frame.destination)
            kept.destinations[frame.destination] = changes.destinations[frame.destination] = (place, DestinationState())
    if changes:
        theirs.commit(changes)
        kept.frames.extend(changes.new_frames)
    return held


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
    try:
        theirs.commit(gone)
    except SpoolTrouble:
        _take_back(step, spool)
        raise
    for frame in step:
        frame.body = b""
    return ours


def _add_once(kept: Kept, held: dict[str, Held], theirs: Spool, spool: Spool) -> Changes:
    """What they have counted counts here from now on, and so do their credits, for workers of the same session may be
    ours, or theirs that came here: once, also when we are killed before they are removed.
    """
    ours, mark = Changes(), zlib.crc32(repr((theirs.path, theirs.file)).encode())
    if spool.number(ADDED) != mark:
        ours.counters = {name: spool.number(name) + value for name, value in kept.counters.items()}
        ours.counters[ADDED] = mark
        ours.sessions = {name: kept.sessions[name] for name in held}
        for name, more in held.items():
            number, body = spool.last_delta(name)
            ours.deltas.append((name, number, with_credits(body, more)))
        spool.commit(ours)
        ours.credits = held
    return ours


def _take_back(step: list[StoredFrame], spool: Spool) -> None:
    """Theirs still has the frames: ours must not deliver them, or the next try would bring them once more."""
    undone = Changes()
    undone.gone_frames = [frame.id for frame in step]
    try:
        spool.commit(undone)
    except SpoolTrouble as exc:  # they are in both now: the next leader begins with this, before it delivers anything
        raise Fenced(f"adopted frames can neither be kept nor given back: {exc}") from exc


def _move_intents(source: str, target: str, spool: Spool) -> None:
    """What a file exporter noted down about a frame that was under way goes with that frame."""
    for name in os.listdir(source):
        if name.endswith(INTENT) and not spool.has_frames(name.partition(".")[0]):
            with contextlib.suppress(OSError):
                os.replace(os.path.join(source, name), os.path.join(target, name))
