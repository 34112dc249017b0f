"""From a won election to a running service and back: what a leader owns, made in order and given back in order."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import Optional

from recost import __version__
from recost.leader import Leader, LeaderKind, write_leader
from recost.notice import Notice
from recost.paths import pid_namespace, process_start
from recost_collector import adoption
from recost_collector.changes import Changes, Kept
from recost_collector.courier import Couriers
from recost_collector.delivery import Delivery
from recost_collector.drain import Rings
from recost_collector.election import Election
from recost_collector.keys import Keys
from recost_collector.service import LostLead, Service
from recost_collector.spool import Fenced, SpoolTrouble
from recost_collector.spool_place import open_spool
from recost_collector.spool_rows import UNREADABLE
from recost_collector.wake import Wake

ORPHANS_S = 60.0

logger = logging.getLogger("recost_collector")


class Leadership:
    """Everything that exists while this process leads in ``directory``. One thread, but for ``held``."""

    def __init__(self, directory: str, kind: LeaderKind, election: Election, on_progress: Callable[[], None]) -> None:
        """``on_progress`` is called between two steps of what a slow disk may make long."""
        self.election = election
        self._directory = directory
        self._on_progress = on_progress
        self._fenced = False
        with contextlib.ExitStack() as undo:
            self.wake = Wake(directory)
            undo.callback(self.wake.close)
            self._place, self._spool = open_spool(directory)
            undo.callback(self._place.release)
            undo.callback(self._spool.close)
            self.service = self._take_up()
            self._looked_for_orphans_at = time.monotonic()
            self._publish(kind)
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
        try:
            self.service.turn()
        except SpoolTrouble as exc:  # not of a commit: what is in the spool cannot be read any more
            raise LostLead(f"the spool cannot be read: {exc}") from exc

    def finish(self, timeout_s: float) -> None:
        """The end in good order; the lock goes last, so that the next leader finds everything."""
        with contextlib.suppress(LostLead):
            self.service.finish(timeout_s)
        self.give_back()

    def give_back(self) -> None:
        """Close what we own without writing anything more."""
        self._fenced = True
        self.service.rings.close()
        self._spool.close()
        self.wake.close()
        self._place.release()
        self.election.resign()

    def _take_up(self) -> Service:
        """A service that goes on from the spool."""
        self._on_progress()
        self._adopt()
        self._on_progress()
        kept = self._load()
        self._on_progress()
        rings = Rings(self._directory, kept.cursors, self._place.directory)
        couriers = Couriers(self, self.wake.call)
        delivery = Delivery(couriers, Keys(self._directory), kept.sessions.__getitem__)
        delivery.restore(kept.destinations, kept.frames)
        service = Service(rings, self._spool, delivery, kept, self.election.still_leads)
        aside = self._spool.moved_aside
        if aside:
            logger.warning("the spool was corrupt and is moved aside: %s", aside)
            text = f"the spool was corrupt; it is kept as {aside} and a new one is started"
            service.say_at_start(Notice("degraded", text))
        return service

    def _load(self) -> Kept:
        """What the last leader left; nothing when it cannot be read: a spool must not end every leader to come."""
        try:
            return self._spool.load()
        except (SpoolTrouble, *UNREADABLE):
            logger.exception("what is in the spool cannot be read")
            self._spool.start_anew()
            return self._spool.load()

    def _adopt(self) -> list[Changes]:
        try:
            return adoption.adopt(self._place, self._directory, self._spool, self._on_progress)
        except Fenced as exc:
            raise LostLead(str(exc)) from exc

    def _publish(self, kind: LeaderKind) -> None:
        pid = os.getpid()
        trouble = self._place.degraded
        leader = Leader(
            pid=pid,
            process_start=process_start(pid),
            pid_namespace=pid_namespace(),
            version=__version__,
            kind=kind,
            epoch=self._spool.epoch,
            spool=self._place.directory,
            started_at_ms=time.time_ns() // 1_000_000,
            trouble=trouble,
        )
        write_leader(self._directory, leader)
        if trouble:
            text = f"the collector's state is in {self._place.state_dir}: {trouble}; RECOST_STATE_DIR changes it"
            self.service.say_at_start(Notice("degraded", text))
        logger.info("leads: directory=%s kind=%s epoch=%d spool=%s", self._directory, kind, leader.epoch, leader.spool)


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
