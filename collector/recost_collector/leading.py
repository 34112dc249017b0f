"""From a won election to a running service and back: what a leader owns, made in order and given back in order."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import Optional

from recost import __version__
from recost.leader import Leader, LeaderKind, write_leader
from recost.notice import Notice
from recost.paths import pid_namespace, process_start
from recost_collector import adoption
from recost_collector.courier import Couriers
from recost_collector.delivery import Delivery
from recost_collector.drain import Rings
from recost_collector.election import Election
from recost_collector.keys import Keys
from recost_collector.service import LostLead, Service
from recost_collector.spool_place import open_spool
from recost_collector.wake import Wake

ORPHANS_S = 60.0

logger = logging.getLogger("recost_collector")


class Leadership:
    """Everything that exists while this process leads in ``directory``. One thread, but for ``held``."""

    def __init__(self, directory: str, kind: LeaderKind, election: Election) -> None:
        self.election = election
        self.wake = Wake(directory)
        self._directory = directory
        self._place, self._spool = open_spool(directory)
        self._fenced = False
        adoption.adopt(self._place, directory, self._spool)
        kept = self._spool.load()
        trouble = ""
        if self._spool.moved_aside:
            logger.warning("the spool was corrupt and is moved aside: %s", self._spool.moved_aside)
            trouble = f"the spool was corrupt; it is kept as {self._spool.moved_aside} and a new one is started"
        rings = Rings(directory, kept.cursors, self._place.directory)
        couriers = Couriers(self, self.wake.call)
        delivery = Delivery(couriers, Keys(directory), kept.sessions.__getitem__)
        delivery.restore(kept.destinations, kept.frames)
        self.service = Service(rings, self._spool, delivery, kept, election.still_leads)
        self._looked_for_orphans_at = time.monotonic()
        if trouble:
            self.service.say_at_start(Notice("degraded", trouble))
        self._publish(directory, kind)

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
            for adopted in adoption.adopt(self._place, self._directory, self._spool):
                self.service.take_over(adopted)
        self.service.turn()

    def finish(self, timeout_s: float) -> None:
        """The end in good order; the lock goes last, so that the next leader finds everything."""
        with contextlib.suppress(LostLead):
            self.service.finish(timeout_s)
        self.give_back()

    def give_back(self) -> None:
        """Close what we own without writing anything more."""
        self._fenced = True
        self._spool.close()
        self.wake.close()
        self._place.release()
        self.election.resign()

    def _publish(self, directory: str, kind: LeaderKind) -> None:
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
        write_leader(directory, leader)
        if trouble:
            text = f"the collector's state is in {self._place.state_dir}: {trouble}; RECOST_STATE_DIR changes it"
            self.service.say_at_start(Notice("degraded", text))
        logger.info("leads: directory=%s kind=%s epoch=%d spool=%s", directory, kind, leader.epoch, leader.spool)


def lead(directory: str, kind: LeaderKind, patience_s: float) -> Optional[Leadership]:
    """Win the election in ``directory``, or None when another collector leads."""
    election = Election(directory)
    if not election.win(patience_s):
        return None
    try:
        return Leadership(directory, kind, election)
    except BaseException:
        election.resign()
        raise
