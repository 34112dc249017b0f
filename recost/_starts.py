"""One worker's starts of collectors: one at a time, with a pause that grows while they come to nothing."""

from __future__ import annotations

import errno
import time
from typing import Optional

from recost._native import native
from recost._spawn import Spawned, SpawnLock, spawn

START_S = 10.0
"""How long a started collector may take to show itself, where nothing tells whether it lives."""
LIVING_S = 60.0
"""The same of one that is known to live. Another one beside it would only add to what keeps it from beginning."""
PAUSE_S = 1.0
"""Between the first two that come to nothing, from start to start; then twice as long each time."""
MAX_PAUSE_S = 60.0
MIDDLE_S = 1.0
"""How long is waited for a middle process, which lives for as long as an interpreter takes to start."""
NONE = "no collector can be started"
PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Why no process can be started now but maybe soon. Whatever else forbids it will not change."""

sleep = native("time", "sleep")
"""Not gevent's: it is the watcher's thread that waits."""


class Starts:
    """The start that is under way, if one is, and when the next may begin. One thread at a time."""

    def __init__(self) -> None:
        self._under_way: Optional[Spawned] = None
        self._began_at = 0.0
        self._next_at = 0.0
        self._pause_s = PAUSE_S
        self.is_refused = False
        """No process may be started here: a sandbox, no interpreter. Waiting for one is in vain."""

    @property
    def hint(self) -> str:
        """What to do about the last failure."""
        if self.is_refused:
            return 'here collector="thread" helps, which runs it inside this process'
        return "recost-collector doctor examines this host"

    def may_begin(self) -> bool:
        """True when none is under way, and no pause."""
        return self._under_way is None and time.monotonic() >= self._next_at

    def begin(self, lock: SpawnLock) -> None:
        """Start one. Raises ``OSError`` when no process can be started."""
        self._began_at = time.monotonic()
        try:
            self._under_way = spawn(lock)
        except OSError as exc:
            self.is_refused = exc.errno not in PASSING
            self._pause()
            raise

    def await_middle_process(self) -> None:
        """Until it is reaped, no later than it ends: a program that waits for whatever child may meet it."""
        until = time.monotonic() + MIDDLE_S
        while self._under_way is not None and not self._under_way.reap() and time.monotonic() < until:
            sleep(MIDDLE_S / 500)

    def succeed(self) -> None:
        """A collector showed itself."""
        self.is_refused = False
        self._pause_s = PAUSE_S
        self._next_at = 0.0
        self._leave()

    def failure(self) -> str:
        """How the start that is under way came to nothing, told once, or that it takes long. Else empty."""
        started = self._under_way
        if started is None:
            return ""
        if not started.reap():
            if self._is_overdue():
                started.kill()
            return self._slowness()
        why = self._why(started)
        if why or self._is_overdue():
            started.give_up()
            self._under_way = None
            self._pause()
        return why or self._slowness()

    def is_to_be_awaited(self) -> bool:
        """False once nothing of a start is left to reap or close, or it takes too long."""
        self._leave()
        return self._under_way is not None and not self._is_overdue()

    def _pause(self) -> None:
        self._next_at = self._began_at + self._pause_s
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)

    def _why(self, started: Spawned) -> str:
        if started.exit_code:
            return f"{NONE}: the interpreter ended with code {started.exit_code}"
        if started.came_to_nothing():
            return f"{NONE}: it ended before it led, collector.log in its state directory may tell why"
        return ""

    def _slowness(self) -> str:
        """Of itself no fault: on a busy machine it may come yet."""
        if time.monotonic() - self._began_at <= START_S:
            return ""
        return f"a collector was started and has not shown itself for {START_S:g} s, as on a very busy machine"

    def _is_overdue(self) -> bool:
        passed_s = time.monotonic() - self._began_at
        started = self._under_way
        return passed_s > START_S and (passed_s > LIVING_S or started is None or not started.is_known_to_live())

    def _leave(self) -> None:
        """Nothing more is to be done for it, once the middle process is reaped."""
        if self._under_way is not None and self._under_way.reap():
            self._under_way.leave()
            self._under_way = None
