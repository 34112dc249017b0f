"""The collector's loop: drain the rings, count, commit, deliver, tell.

``turn`` is the table of contents.  What a turn wants to be true is gathered in ``_changes`` and becomes true in one
transaction; only after it do heads, status words and notices move.  A bug ends the process, with a traceback in its
log, and the next leader takes over from the spool.
"""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable

from recost.notice import Notice
from recost_collector.aggregate import Aggregation
from recost_collector.changes import Changes, Kept, StoredFrame
from recost_collector.clock import Clock, read_clock
from recost_collector.delivery import Delivery
from recost_collector.drain import Rings
from recost_collector.episodes import Episodes
from recost_collector.open_window import OpenWindow
from recost_collector.source import Source
from recost_collector.spool import Fenced, Spool, SpoolDamaged, SpoolTrouble
from recost_collector.spool_room import SpoolRoom
from recost_collector.telling import Telling
from recost_collector.totals import Totals

COMMIT_S = 0.5
BUSY_POLL_S = 0.05
IDLE_POLL_S = 0.2
IDLE_TURNS = 20
"""Turns without work after which polling eases: a second."""
REST_POLL_S = 0.4
"""Meanwhile a ring of 1 MiB takes 10,000 calls; more come from a program that does nothing else."""
REST_TURNS = 120
"""After which it eases again: the second and 100 turns of 0.2 s, so 21 s."""
DRAIN_BYTES = 64 << 10
"""What one ring may give before the next has its turn."""
DRAIN_S = 0.2
"""How long a turn may drain before it goes on to commit."""
PROBE_S = 1.0
STAY_FOR_DELIVERY_S = 600.0

logger = logging.getLogger("recost_collector")


class LostLead(Exception):  # noqa: N818 - a finding, not an error of the program
    """The lock is no longer ours: leave without writing."""


class Service:
    """Everything the leader does. One thread."""

    def __init__(
        self, rings: Rings, spool: Spool, delivery: Delivery, kept: Kept, still_leads: Callable[[], bool]
    ) -> None:
        self.rings = rings
        self.delivery = delivery
        self._spool = spool
        self._still_leads = still_leads
        self._aggregation = Aggregation(kept.sessions, spool.next_frame_id, self._on_close)
        self.live = self._aggregation.live
        self._telling = Telling(rings, spool.epoch)
        self._changes = Changes()
        self._commit_wanted = False
        self._committed_at = 0.0
        self._probed_at = 0.0
        self._idle_turns = 0
        self._room = SpoolRoom(spool, delivery, self._telling)
        self._totals = Totals(kept.counters)
        self._say_at_start: list[Notice] = []
        self._last_ring_at = time.monotonic()
        self._idle_exit_s = 10.0
        self._aggregation.restore(kept.deltas, self._last_ring_at)

    def say_at_start(self, notice: Notice) -> None:
        """Tell the first worker that appears."""
        self._say_at_start.append(notice)

    def log_delivery(self) -> None:
        """The log tells of trouble with destinations, too: for a process that is nothing but a collector."""
        self._telling.log = Episodes()

    def take_over(self, changes: Changes) -> None:
        """Frames of an orphaned spool are committed in ours: work with them from now on."""
        self._aggregation.take_over(changes, self._changes)
        self.delivery.restore(changes.destinations, changes.new_frames)
        self._totals.take_over(changes.counters)

    def turn(self) -> None:
        """One round. Raises ``LostLead`` when another collector leads."""
        if not self._still_leads():
            raise LostLead("the leader lock's file was replaced")
        clock = read_clock()
        self._meet_rings(clock)
        self._idle_turns = 0 if self._drain(clock, DRAIN_S) else self._idle_turns + 1
        self._take_outcomes(clock)
        self._answer_flush_requests(clock)
        self._close_windows(clock)
        if self._commit_is_due(clock):
            self._commit(clock)
            self._tell()
        else:
            self._telling.beat()
        self.live.tick(clock.now)

    @property
    def open_calls(self) -> int:
        """Calls in open windows."""
        return self._aggregation.calls

    @property
    def pause_s(self) -> float:
        """How long to sleep before the next turn."""
        if self._idle_turns < IDLE_TURNS:
            return BUSY_POLL_S
        return IDLE_POLL_S if self._idle_turns < REST_TURNS else REST_POLL_S

    def is_done(self, now: float) -> bool:
        """True when a collector that somebody's workers started is needed no more."""
        if self.rings.sources:
            self._last_ring_at = now
            return False
        if self.delivery.is_busy() or not self._aggregation.is_empty or self._changes:
            return False
        idle_s = now - self._last_ring_at
        if self.delivery.may_still_deliver():
            return idle_s > max(STAY_FOR_DELIVERY_S, self._idle_exit_s)
        return idle_s > self._idle_exit_s

    def ask(self, act: Callable[[Changes], None]) -> None:
        """For what the command line asks for: ``act`` notes down what the next commit is to make true."""
        act(self._changes)
        self._commit_wanted = True

    @property
    def is_committed(self) -> bool:
        """What was asked for is in the spool."""
        return not self._commit_wanted

    @property
    def spool_trouble(self) -> str:
        """Why the spool takes nothing now; empty: it does."""
        return self._room.trouble

    def finish(self, timeout_s: float) -> None:
        """The end in good order, with one delivery attempt for everything, bounded by ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        clock = read_clock()
        # 1. take what the workers have published so far, those included that have just gone
        self._meet_rings(clock)
        self.rings.probe_owners()
        self._drain(clock, max(DRAIN_S, timeout_s / 2))
        # 2. close every window, due or not, and commit
        self._aggregation.close_all(clock.wall_ns)
        self._commit(clock, dispatch=False)
        # 3. one attempt each; what fails stays in the spool
        for name in self.delivery.lanes:
            self.delivery.flush(name, clock.wall_ms, self._changes)
        self._commit(clock)
        while not self.delivery.is_settled() and time.monotonic() < deadline:
            time.sleep(0.005)
            clock = read_clock()
            if self._take_outcomes(clock):
                self._commit(clock)
        self.delivery.close(max(0.0, deadline - time.monotonic()))
        # 4. what came back meanwhile counts too
        clock = read_clock()
        self._take_outcomes(clock)
        self._commit(clock, dispatch=False)
        self._tell()

    def _meet_rings(self, clock: Clock) -> None:
        for source in self.rings.scan(clock.now):
            self._aggregation.meet(source, self._changes)
            self._telling.welcome(source, self.delivery)
            self.delivery.register(source.registration, self._changes, is_new=not source.committed.position)
            session = source.registration.session
            self._idle_exit_s = session.collector_idle_exit_s  # the newest wish counts
            self._room.raise_limit(session.spool_max_bytes)
            while self._say_at_start:
                self._telling.tell_all(self._say_at_start.pop())
        if clock.now - self._probed_at < PROBE_S:
            self.rings.probe_closed()
            return
        self._probed_at = clock.now
        self.rings.probe_owners()
        self.delivery.forget_keys(frozenset(source.destination_id for source in self.rings.sources.values()))
        self.delivery.forget_unused(self._aggregation.sessions.values(), clock.wall_ms, self._changes)

    def _drain(self, clock: Clock, time_s: float) -> bool:
        """Take from every ring in turn until all are dry or the time is up. True when there was anything.

        The next turn begins with those that this one did not come to.
        """
        if self._room.trouble:
            return False  # what cannot be committed stays in the rings, which count what they refuse
        waiting = collections.deque(source for source in self.rings.sources.values() if source.is_waiting)
        worked = bool(waiting)
        until = time.monotonic() + time_s
        while waiting:
            source = waiting.popleft()
            self.rings.put_last(source)
            if self._drain_source(source, clock):
                waiting.append(source)
            if time.monotonic() >= until:
                break
        return worked

    def _drain_source(self, source: Source, clock: Clock) -> bool:
        """A bounded amount of one ring. True when there is more."""
        start = source.reader.cursor.position
        payloads = source.drain(DRAIN_BYTES)
        self.rings.keep_for_diagnosis(source)
        self._aggregation.add(source, start, payloads, clock.now, clock.wall_ns)
        return bool(payloads) and source.reader.backlog > 0

    def _take_outcomes(self, clock: Clock) -> bool:
        """Work in what the couriers brought back. True when there was something."""
        taken = self.delivery.take_outcomes(clock.now, clock.wall_ms, self._changes)
        self._commit_wanted = self._commit_wanted or taken
        return taken

    def _answer_flush_requests(self, clock: Clock) -> None:
        for source in self.rings.sources.values():
            if not source.takes_flush():
                continue
            if self._aggregation.part_of(source) is not None:
                self._aggregation.close(source.session_id, clock.wall_ns)
            self.delivery.flush(source.destination_id, clock.wall_ms, self._changes)
            self._commit_wanted = True

    def _close_windows(self, clock: Clock) -> None:
        alive = {source.session_id for source in self.rings.sources.values() if not source.owner_gone}
        closed = self._aggregation.close_due(alive, self.delivery.has_waiting, clock.now, clock.wall_ns)
        self._commit_wanted = self._commit_wanted or closed

    def _on_close(self, window: OpenWindow, frames: list[StoredFrame]) -> None:
        self._changes.new_frames.extend(frames)
        self._changes.closed_windows.append((window.session_id, window.number))
        self._telling.closed(frames)
        self.delivery.add(window.session, frames, self._changes)

    def _commit_is_due(self, clock: Clock) -> bool:
        if self._commit_wanted or clock.now - self._committed_at >= COMMIT_S:
            return True
        return self._idle_turns < IDLE_TURNS and any(source.is_urgent for source in self.rings.sources.values())

    def _commit(self, clock: Clock, *, dispatch: bool = True) -> None:
        """Make everything since the last one true at once, let the rings know, and send what is due."""
        self._committed_at = clock.now
        moved = [source for source in self.rings.sources.values() if source.reader.cursor != source.committed]
        self._gather(moved, clock.wall_ms)
        if self._changes:
            self._room.make(self._changes)
            try:
                self._spool.commit(self._changes)
            except (Fenced, SpoolDamaged) as exc:
                raise LostLead(str(exc)) from exc
            except SpoolTrouble as exc:
                self._commit_wanted = self._room.refused(str(exc), clock.now, self._changes) or self._commit_wanted
                return
            self._after_commit(moved)
        self._commit_wanted = False  # also when what was wanted has changed nothing
        if dispatch:
            self.delivery.dispatch(clock.now, clock.wall_ms, self._spool.body)

    def _gather(self, moved: list[Source], now_ms: int) -> None:
        """What the rings and the open windows add to the transaction; anew after one that failed."""
        changes = self._changes
        self._aggregation.gather(changes)
        finished = [source for source in self.rings.sources.values() if source.is_finished]
        changes.forgotten_rings = self.rings.finished.removed()
        changes.cursors = {source.name: source.cursor_to_keep for source in (*moved, *finished)}
        changes.counters = self._totals.gather(finished, self.rings.discarded, self.delivery.forgotten_drops, now_ms)

    def _after_commit(self, moved: list[Source]) -> None:
        changes, self._changes = self._changes, Changes()
        self._room.took()
        self._totals.committed(changes.counters)
        self._aggregation.committed()
        for source in moved:
            source.committed = source.reader.cursor
            source.reader.release(source.committed.position)
        for frame in changes.new_frames:
            frame.body = b""
        self._telling.after_commit(self.delivery)
        self.delivery.after_commit(changes)
        self.rings.finished.forget(changes.forgotten_rings)
        for name in changes.finished_rings:
            self._telling.forget(name)
            self.rings.reap(self.rings.sources[name])
        used = {source.session_id for source in self.rings.sources.values()} | self.delivery.session_ids()
        self._changes.forgotten_sessions = self._aggregation.forget(used)

    def _tell(self) -> None:
        self._telling.tell(self._aggregation.part_of, self.delivery)
