"""From a won election to a running service and back: what a leader owns, made in order and given back in order."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import Optional

import msgspec

from recost import __version__
from recost.leader import Leader, LeaderKind, as_text, show_life, write_leader
from recost.notice import Notice
from recost.origins import pid_namespace, process_start
from recost_collector.adoption import Adoption
from recost_collector.changes import Changes, Kept
from recost_collector.courier import Couriers
from recost_collector.delivery import Delivery
from recost_collector.desk import Desk
from recost_collector.drain import Rings
from recost_collector.election import Election
from recost_collector.exporters import forget_all_but
from recost_collector.figures import plural
from recost_collector.keys import Keys
from recost_collector.mark import ANY_FILE, Mark, Marked, is_behind
from recost_collector.service import LostLead, Service
from recost_collector.spool import Fenced, SpoolTrouble
from recost_collector.spool_place import open_spool, remove
from recost_collector.spool_rows import UNREADABLE
from recost_collector.wake import open_wake
from recost_collector.words import DOCTOR_SAYS_WHAT

ORPHANS_S = 60.0
SHOW_LIFE_S = 1.0

logger = logging.getLogger("recost_collector")


class Leadership:
    """Everything that exists while this process leads in ``directory``. One thread, but for ``held``."""

    def __init__(self, directory: str, kind: LeaderKind, election: Election, on_progress: Callable[[], None]) -> None:
        """``on_progress`` is called between two steps of what a slow disk may make long."""
        self.election = election
        self.directory = directory
        self._on_progress = on_progress
        self._fenced = False
        with contextlib.ExitStack() as undo:
            self.wake = open_wake(directory)
            undo.callback(self.wake.close)
            self._place, self._spool = open_spool(directory)
            undo.callback(self._place.release)
            undo.callback(self._spool.close)
            self._mark = Mark(directory, self._place.directory)
            undo.callback(self._mark.close)
            self._marked = self._mark.read()
            self._noted = -1
            self._check_spool()
            self._adoption = Adoption(self._place, directory, self._spool, on_progress)
            self.service = self._take_up()
            self._desk = Desk(directory, self.service)
            self._looked_for_orphans_at = time.monotonic()
            self._showed_life_at = 0.0
            self._leader = self._describe(kind)
            self._publish()
            undo.pop_all()

    @property
    def state_dir(self) -> str:
        """Where exporters keep what they must remember (``exporters.Lease``)."""
        return self._place.directory

    def held(self) -> bool:
        """False once another collector may lead (``exporters.Lease``). Any thread may ask."""
        return not self._fenced and self.election.still_leads()

    def turn(self, now: float) -> None:
        """One round of the service, and once a minute a look for what others left behind."""
        if now - self._looked_for_orphans_at >= ORPHANS_S:
            self._looked_for_orphans_at = now
            for adopted in self._adopt():
                self.service.take_over(adopted)
        if now - self._showed_life_at >= SHOW_LIFE_S:
            self._showed_life_at = now
            show_life(self.directory)
        try:
            self.service.turn()
            self._note()
            self._note_trouble()
            if self._desk.look(time.time_ns() // 1_000_000):
                self.wake.call()
        except Fenced as exc:  # met by a delivery: there was nothing to commit
            raise LostLead(str(exc)) from exc
        except SpoolTrouble as exc:  # not of a commit: what is in the spool cannot be read any more
            raise LostLead(f"the spool cannot be read: {exc}") from exc

    def finish(self, timeout_s: float) -> None:
        """The end in good order; the lock goes last, so that the next leader finds everything."""
        with contextlib.suppress(LostLead, Fenced):
            self.service.finish(timeout_s)
            self._note()
            if not self.service.delivery.windows and not self.service.open_calls:
                self._mark.remove()
        self.give_back()

    @property
    def is_robbed(self) -> bool:
        """The program that we are a thread of has closed our descriptors: their numbers may be of files of its own."""
        return not self.wake.is_ours

    def give_back(self) -> None:
        """Close what we own without writing anything more; nothing, if the program has."""
        self._fenced = True
        if self.is_robbed:
            _robbed.append(self)
            return
        if self._spool.is_removed or self._spool.is_damaged:
            self._mark.condemn(ANY_FILE if self._spool.is_removed else self._spool.file)
        self._mark.close()
        self.service.rings.close()
        self._spool.close()
        self.wake.close()
        self._place.release()
        self.election.resign()

    def leave_no_spool(self) -> None:
        """After ``finish``, for who does not come back: a spool that holds nothing goes."""
        if not self.service.delivery.windows and not self.service.open_calls:
            remove(self._place)

    def _take_up(self) -> Service:
        """A service that goes on from the spool."""
        self._on_progress()
        self._adopt()
        self._on_progress()
        kept = self._load()
        self._on_progress()
        rings = Rings(self.directory, kept.cursors, self._place.directory)
        couriers = Couriers(self, self.wake.call)
        delivery = Delivery(couriers, Keys(self.directory), kept.sessions.__getitem__)
        delivery.restore(kept.destinations, kept.frames)
        forget_all_but(kept.destinations, self)
        service = Service(rings, self._spool, delivery, kept, self.election.still_leads)
        if self._spool_loss:
            logger.warning(self._spool_loss)
            service.say_at_start(Notice("degraded", self._spool_loss))
        return service

    def _check_spool(self) -> None:
        """Begin with an empty spool where this one is damaged, or has forgotten what was committed."""
        spool = self._spool
        self._spool_loss = ""
        if is_behind(self._marked, spool.commits, spool.file, is_new=spool.is_new):
            if not spool.is_new and not spool.moved_aside:
                spool.start_anew()
        elif not spool.moved_aside:
            return
        self._count_loss()

    def _count_loss(self) -> None:
        """What the mark says was in a spool that cannot be used."""
        _, frames, calls, _ = self._marked
        changes = Changes()
        changes.counters = {"count.dropped_windows": frames, "count.lost": calls}
        self._spool.commit(changes)
        self._mark.note(Marked(self._spool.commits, file=self._spool.file))
        aside = self._spool.moved_aside
        what = f"was corrupt; it is kept as {aside}" if aside else "was removed by another program"
        lost = f"{plural(frames, 'window')} and {plural(calls, 'more call')} at most"
        self._spool_loss = f"the spool {what}; a new one is started, lost are {lost}"

    def _note(self) -> None:
        """What is in the spool now, for the case that it is damaged before the next leader comes."""
        spool = self._spool
        if spool.commits != self._noted:
            self._noted = spool.commits
            self._mark.note(Marked(spool.commits, self.service.delivery.windows, self.service.open_calls, spool.file))

    def _load(self) -> Kept:
        """What the last leader left; nothing when it cannot be read: a spool must not end every leader to come."""
        try:
            return self._spool.load()
        except (SpoolTrouble, *UNREADABLE):
            logger.exception("what is in the spool cannot be read")
            self._spool.start_anew()
            self._count_loss()
            return self._spool.load()

    def _adopt(self) -> list[Changes]:
        try:
            return self._adoption.look()
        except Fenced as exc:
            raise LostLead(str(exc)) from exc

    def _describe(self, kind: LeaderKind) -> Leader:
        pid = os.getpid()
        return Leader(
            pid=pid,
            process_start=process_start(pid),
            pid_namespace=pid_namespace(),
            version=__version__,
            kind=kind,
            epoch=self._spool.epoch,
            spool=as_text(self._place.directory),
            started_at_ms=time.time_ns() // 1_000_000,
            trouble=self._place.degraded,
        )

    def _publish(self) -> None:
        leader = self._leader
        logger.info(
            "leads: directory=%s kind=%s epoch=%d spool=%s", self.directory, leader.kind, leader.epoch, leader.spool
        )
        try:
            write_leader(self.directory, leader)
        except OSError as exc:  # no room: nobody can see who leads, and all else goes on
            logger.warning("it cannot be written down who leads: %s", exc)
        if leader.trouble:
            self.service.say_at_start(Notice("degraded", f"the collector's {leader.trouble}"))

    def _note_trouble(self) -> None:
        """For ``status``, which asks nobody: what became of the spool since."""
        reason = self.service.spool_trouble
        text = f"the spool cannot be written, calls wait in shared memory: {reason}; {DOCTOR_SAYS_WHAT}"
        trouble = text if reason else ""
        if (trouble or self._place.degraded) != self._leader.trouble:
            leader = msgspec.structs.replace(self._leader, trouble=trouble or self._place.degraded)
            with contextlib.suppress(OSError):  # no room there either: the next turn tries again
                write_leader(self.directory, leader)
                self._leader = leader


_robbed: list[Leadership] = []
"""To be freed never: that would close what has those numbers now."""


def lead(
    directory: str, kind: LeaderKind, patience_s: float, on_progress: Callable[[], None] = lambda: None
) -> Optional[Leadership]:
    """Win the election in ``directory``, or None when another collector leads."""
    election = Election(directory)
    if not election.win(patience_s):
        return None
    try:
        return Leadership(directory, kind, election, on_progress)
    except BaseException:
        election.resign()
        raise
