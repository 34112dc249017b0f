"""Everything the SDK owns in one process: settings, what is left out, and the recorder with its ring.

A fork does not repair a Runtime, it replaces it: the child builds a new one from the same settings, so no object
here ever holds the parent's ring, lock or thread.

State, and who writes it: ``current`` (init, dispose, and the first call in a forked child).
"""

from __future__ import annotations

import os
import time
from typing import Optional, Union

from recost import _in_process
from recost._debug import tell_call, tell_llm
from recost._exclusions import Exclusions
from recost._forks import close_copies
from recost._link import Link
from recost._recorder import LOOK_NS, Recorder
from recost._troubles import Troubles
from recost.config import RecostConfig
from recost.errors import RecostError
from recost.event import CallEvent, LlmEvent, encode
from recost.llm import marks
from recost.llm.marks import current_mark
from recost.ring.files import RingFile
from recost.ring.writer import Writer
from recost.system import at_fork
from recost.tags import current_use, tag_here


class Runtime:
    """The SDK in one process. ``record`` is called by capture with every finished call."""

    def __init__(self, settings: RecostConfig) -> None:
        self.settings = settings
        self.announced = False
        """Set in a forked child by Python's at-fork hook."""
        self._troubles = Troubles(settings.on_error)
        self.recorder = Recorder(settings, self._troubles)
        self.ours = self.recorder.ours
        self._successors: dict[int, Runtime] = {}
        self._excluded = Exclusions(settings)
        self._captured = self._excluded.let_in
        self._tags_routes = settings.route_tags
        self._tells = settings.debug
        self._looks_from_ns = self._looks_until_ns = 0

    @property
    def ring(self) -> Optional[RingFile]:
        return self.recorder.ring

    @property
    def link(self) -> Optional[Link]:
        return self.recorder.link

    @property
    def disposed(self) -> bool:
        return self.recorder.is_closed

    def here(self) -> Runtime:
        """The Runtime of this process: itself, or in a forked child its successor, made on first demand."""
        if self.ours[0]:
            return self
        pid = os.getpid()
        successor = self._successors.get(pid)
        if successor is not None and not successor.ours[0]:  # of an ancestor that had our pid
            self._successors.pop(pid, None)
            successor = None
        if successor is None:
            # No lock of the parent's may be waited for, so threads race and setdefault decides.
            successor = self._successors.setdefault(pid, self._succeed())
        return successor

    def record(self, event: CallEvent) -> bool:
        """Publish one finished call. Takes microseconds; what does not fit is counted. False: disposed meanwhile."""
        if self.recorder.is_closed:
            return False
        if event.netloc not in self._captured and self._excluded(event):
            return _leave_out()
        if marks.were_made:
            _mark(event)
        # Of the call: its tag's block ends on the thread and in the task that made it.
        if self._tags_routes or current_use() is not None:
            event.tag = event.tag or tag_here(or_route=self._tags_routes)
        payload, writer = encode(event), self.recorder.writer
        if (writer is None or not writer.offer(payload)) and not self._offer_slowly(payload, writer):
            return False
        if not self._looks_from_ns < event.at_ns + event.duration_ns < self._looks_until_ns:
            self._look(event)
        if self._tells:
            tell_call(event)
        return True

    def record_llm(self, event: LlmEvent) -> bool:
        """Publish one finished LLM call; gets its tag here, like a call. False: disposed meanwhile."""
        if self.recorder.is_closed:
            return False
        if self._tags_routes or current_use() is not None:
            event.tag = event.tag or tag_here(or_route=self._tags_routes)
        payload, writer = encode(event), self.recorder.writer  # from here on as above: a shared step is dear when cold
        if (writer is None or not writer.offer(payload)) and not self._offer_slowly(payload, writer):
            return False
        if not self._looks_from_ns < event.at_ns + event.duration_ns < self._looks_until_ns:
            self._look(event)
        if self._tells:
            tell_llm(event)
        return True

    def excludes(self, event: CallEvent) -> bool:
        """Whether such a call would be left out."""
        return self._excluded(event)

    @property
    def last_flush(self) -> tuple[int, int, int]:
        """(status, metric entries, ms since the epoch) of the last delivery, also when disposed."""
        return self.recorder.last_flush

    def flush(self, timeout_s: float, *, again: bool = True) -> bool:
        """True when everything published so far has settled; ``again``: what was put back is tried once more."""
        return self.recorder.flush(timeout_s, again=again)

    def dispose(self, timeout_s: float) -> bool:
        """Stop recording, wait up to ``timeout_s`` for what is undelivered (0: not at all), detach."""
        recorder = self.recorder
        if recorder.is_closed:
            return True
        until = time.monotonic() + timeout_s
        settled = timeout_s <= 0 or self._settle_at_end(timeout_s)
        recorder.close()
        self._troubles.tell()
        if timeout_s > 0 and self.settings.collector == "thread" and recorder.directory:
            settled = _in_process.end(recorder.directory, until - time.monotonic()) and settled
        return settled

    def _settle_at_end(self, timeout_s: float) -> bool:
        if self.settings.collector == "thread" and not _in_process.start(self.recorder.directory):
            return True  # nobody would answer; ``_in_process.end`` does the work
        return self.flush(timeout_s, again=False)

    def _offer_slowly(self, payload: bytes, writer: Optional[Writer]) -> bool:
        return self._here_to_record().recorder.offer_slowly(payload, writer)

    def _look(self, event: Union[CallEvent, LlmEvent]) -> None:
        """Once a second, or when somebody has put the clock back."""
        ended_ns = event.at_ns + event.duration_ns
        self._looks_from_ns, self._looks_until_ns = ended_ns - LOOK_NS, ended_ns + LOOK_NS
        self.recorder.look_from_event_path()

    def _here_to_record(self) -> Runtime:
        return self if self.ours[0] else adopt(self.here())

    def _succeed(self) -> Runtime:
        for inherited in (self, current):
            if inherited is not None and not inherited.ours[0]:
                inherited.recorder.let_go()
        close_copies()
        successor = Runtime(self.settings)
        successor.recorder.is_closed = self.recorder.is_closed
        successor._successors = self._successors  # one for all handles, also in a fork of the fork
        if not self.announced:
            text = "a fork that Python was not told of (uWSGI's default) was noticed; this process has a new ring"
            successor._troubles.later(RecostError(text))
        return successor


current: Optional[Runtime] = None


def record(event: CallEvent) -> None:
    """What capture calls."""
    runtime = current
    while runtime is not None and not runtime.record(event):
        newer = current  # ``init()`` was called again while this call was on its way
        runtime = newer if newer is not runtime else None


def record_llm(event: LlmEvent) -> bool:
    """What LLM calls come to. False: nothing records in this process."""
    runtime = current
    while runtime is not None and not runtime.record_llm(event):
        newer = current
        runtime = newer if newer is not runtime else None
    return runtime is not None


def _leave_out() -> bool:
    mark = current_mark()
    if mark is not None:
        mark.is_excluded = True
    return True


def _mark(event: CallEvent) -> None:
    mark = current_mark()
    if mark is not None and mark.is_open:
        mark.carrier, event.is_llm, event.tag = event, True, mark.tag


def adopt(runtime: Runtime) -> Runtime:
    """Make ``runtime`` the one that records in this process."""
    global current  # noqa: PLW0603 - the one place that names what records in this process
    current = runtime
    return runtime


def _after_fork_in_child() -> None:
    """Nothing here may start, log, lock, join or wait."""
    if current is not None:
        current.announced = True
        current.recorder.let_go()
    close_copies()


at_fork(after_in_child=_after_fork_in_child)
