"""What the workers hear: the collector's words in every ring, and the notices of those concerned.

All words are rewritten in every ring at every commit, due or not, so that a stale store of a predecessor does not stay:
twice a second.  In between nothing changes but the heartbeat.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Optional

import msgspec

from recost.notice import Notice
from recost.ring.layout import (
    AUTH_FAILURES,
    EPOCH,
    FLUSH_AT_MS,
    FLUSH_ERROR,
    FLUSH_OK,
    FLUSH_SIZE,
    FLUSH_STATUS,
    FLUSHED_THROUGH,
    FLUSHES_DONE,
    HEAD,
    HEARTBEAT,
    NOTICES,
)
from recost.ring.notices import write_notice
from recost_collector.changes import Part, StoredFrame
from recost_collector.delivery import Bulletin, Delivery, Settlement
from recost_collector.drain import Rings
from recost_collector.episodes import Episodes
from recost_collector.source import Source

CAUSES = {"suspended": "auth"}
"""Who has heard of the cause is not told of the consequence again."""

logger = logging.getLogger("recost_collector")


class Telling:
    """Writes into the rings what is committed. The loop's alone."""

    def __init__(self, rings: Rings, epoch: int) -> None:
        self._rings = rings
        self._epoch = epoch
        self._beat = time.monotonic_ns() >> 20
        self._last_flush: dict[str, tuple[int, int, int]] = {}
        self._told: dict[str, set[str]] = {}
        """By ring: the kinds of trouble it has heard of since a window of it was last delivered: its episode."""
        self.log: Optional[Episodes] = None
        """Hears the same by destination, where there is one."""

    def welcome(self, source: Source, delivery: Delivery) -> None:
        """A ring has appeared: which frames on their way hold events of it."""
        words = source.file.words
        source.notices = words[NOTICES]
        source.flush_seen = source.flush_done = words[FLUSHES_DONE]
        self._last_flush[source.name] = (words[FLUSH_STATUS], words[FLUSH_SIZE], words[FLUSH_AT_MS])
        frames = [frame for lane in delivery.lanes.values() for frame in lane.unsettled.values()]
        for frame in sorted(frames, key=lambda frame: frame.id):
            for part in frame.parts:
                if part.ring == source.name:
                    source.unsettled.append((frame.id, part))

    def closed(self, frames: list[StoredFrame]) -> None:
        """A window became frames: its rings wait for them."""
        for frame in frames:
            for part in frame.parts:
                source = self._rings.sources.get(part.ring)
                if source is not None:
                    source.unsettled.append((frame.id, part))

    def after_commit(self, delivery: Delivery) -> None:
        """What settled is committed: move the rings' accounts, and pass the trouble on."""
        if self.log is not None and (delivery.settlements or delivery.bulletins):
            _log(self.log, delivery)
        self._settle(delivery.settlements)
        for bulletin in delivery.bulletins:
            self._post(bulletin)
        delivery.settlements.clear()
        delivery.bulletins.clear()

    def tell(self, part_of: Callable[[Source], Optional[Part]], delivery: Delivery) -> None:
        """Rewrite every word of ours in every ring. ``part_of`` gives a ring's part of the open window."""
        self.beat()
        for source in self._rings.sources.values():
            words = source.file.words
            words[HEAD] = source.committed.position
            words[EPOCH] = self._epoch
            words[FLUSH_STATUS], words[FLUSH_SIZE], words[FLUSH_AT_MS] = self._last_flush[source.name]
            words[AUTH_FAILURES] = delivery.auth_failures(source.destination_id)
            words[NOTICES] = source.notices
            words[FLUSHED_THROUGH] = source.flushed_through(part_of(source))
            if not delivery.is_flushing(source.destination_id):
                source.flush_done = source.flush_seen
            words[FLUSHES_DONE] = source.flush_done

    def beat(self) -> None:
        """Show every ring that we are there."""
        self._beat += 1
        for source in self._rings.sources.values():
            source.file.words[HEARTBEAT] = self._beat

    def tell_all(self, notice: Notice) -> None:
        """Post ``notice`` to every ring."""
        for source in self._rings.sources.values():
            self._write(source, notice)

    def forget(self, ring: str) -> None:
        self._last_flush.pop(ring, None)
        self._told.pop(ring, None)

    def _settle(self, settlements: list[Settlement]) -> None:
        at_ms = time.time_ns() // 1_000_000
        settled: dict[str, set[int]] = {}
        for frame, ok in settlements:
            for part in frame.parts:
                settled.setdefault(part.ring, set()).add(frame.id)
                self._last_flush[part.ring] = (FLUSH_OK if ok else FLUSH_ERROR, frame.entries, max(0, at_ms))
                if ok:
                    self._told.pop(part.ring, None)
        for ring, frame_ids in settled.items():
            source = self._rings.sources.get(ring)
            if source is None:
                self.forget(ring)
                continue
            account = [entry for entry in source.unsettled if entry[0] not in frame_ids]
            source.unsettled.clear()
            source.unsettled.extend(account)

    def _post(self, bulletin: Bulletin) -> None:
        kind = bulletin.notice.kind
        for ring in {part.ring for frame in bulletin.frames for part in frame.parts} & self._rings.sources.keys():
            told = self._told.setdefault(ring, set())
            if bulletin.once and not told.isdisjoint({kind, CAUSES.get(kind, kind)}):
                continue
            notice = msgspec.structs.replace(bulletin.notice, first=kind not in told)
            told.add(kind)
            self._write(self._rings.sources[ring], notice)

    def _write(self, source: Source, notice: Notice) -> None:
        write_notice(source.file, source.notices, notice)
        source.notices += 1


def _log(log: Episodes, delivery: Delivery) -> None:
    for frame, ok in delivery.settlements:
        if ok and frame.destination in delivery.lanes:
            log.delivered(frame.destination, delivery.lanes[frame.destination].destination.url)
    for bulletin in delivery.bulletins:
        for name in {frame.destination for frame in bulletin.frames} & delivery.lanes.keys():
            log.trouble(name, delivery.lanes[name].destination.url, bulletin.notice)
    log.forget_all_but(delivery.lanes)
