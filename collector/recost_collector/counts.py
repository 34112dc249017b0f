"""What the events of a session's open window are counted in: what is committed of it, and the delta since.

Most calls go where others went.  So a look at where one went gives the sums that it is added to, and the delta takes
these together, once per commit.  LLM calls are counted one by one, in rows that are found once for all of a kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from recost.calls import BucketKey, Calls
from recost.classify import Classifier
from recost.event import CallEvent, Event, LlmEvent
from recost.llm.aliases import canonical
from recost.session import Session
from recost.windows import LlmRows, Window
from recost_collector.credits import Credits, Held
from recost_collector.llm_log import LlmLog

TRACKED = "TRACK"
"""In place of a method: an LLM call of which no HTTP call was captured."""
MAX_KNOWN = 4096
"""Endpoints of which it is known where their calls are added up. A path has at most 1024 characters."""
MAX_UNCOUNTED = 1 << 16
"""Calls that are added up before the delta takes them: half a MB of durations."""


class _KnownLlm(NamedTuple):
    """Of LLM calls that are alike."""

    rows: LlmRows
    estimate_pico_usd: int
    """What each costs whose true cost is not known, though the HTTP call is."""


class Counts:
    """One thread at a time."""

    def __init__(self, session: Session) -> None:
        self.credits = Credits()
        self.log = LlmLog()
        self.committed = Window(session.max_buckets)
        self._delta = Window(session.max_buckets)
        self._session = session
        self._classify = Classifier(session.custom_providers, normalize_paths=session.normalize_paths).classify
        self._known: dict[tuple[str, str, str, str, bool], Calls] = {}
        self._alike: dict[tuple[BucketKey, str, int], Calls] = {}  # what the delta does not have yet
        self._uncounted = 0  # the calls in them, but for those of the events that are just being added
        self._known_llm: dict[tuple[str, str, str, str, str, str], _KnownLlm] = {}  # where LLM calls go in the delta

    @property
    def count(self) -> int:
        """Events in the window."""
        return self.committed.count + self._delta.count + self._uncounted

    def add(self, events: Sequence[Optional[Event]]) -> int:
        """Count ``events``, as many as it says: all up to the first that needs a bucket too many.

        Before that one the window must be closed.  None stands for a record without event.
        """
        rest = iter(events)
        is_all, others = self._add_up(rest)
        taken = len(events) if is_all else len(events) - 1 - len(list(rest))
        self._uncounted += taken - others
        if self._uncounted >= MAX_UNCOUNTED or len(self._alike) >= MAX_KNOWN:
            self.delta()
        return taken

    def delta(self) -> Window:
        """What came in since ``merge``, with all that was added up."""
        for calls in self._alike.values():
            self._delta.take(calls)
            self._uncounted -= calls.count
        self._alike.clear()
        self._known.clear()
        return self._delta

    def merge(self) -> None:
        """The delta is committed."""
        self.committed.merge(self.delta())
        self._delta = Window(self._session.max_buckets)
        self._known_llm.clear()
        self.log.merge_new()

    def close(self) -> tuple[Window, LlmLog]:
        """The whole window and its log. From here on a new one is open; the credits outlive it."""
        self.merge()
        window, log = self.committed, self.log
        self.committed, self.log = Window(self._session.max_buckets), LlmLog()
        return window, log

    def take_credits(self, held: Held) -> None:
        """Those of an open window of the same session that was adopted."""
        self.delta()  # what is known was known without them
        self.credits.merge(held)

    def _add_up(self, events: Iterator[Optional[Event]]) -> tuple[bool, int]:  # noqa: C901, PLR0912 - hot, so no calls
        """What each of a million calls a second goes through.

        False: the last one that it took needs a bucket too many.  And how many of the others are not among ``_alike``.
        """
        known = self._known
        others = 0
        for event in events:
            if type(event) is CallEvent:
                try:
                    calls = known[event.netloc, event.path, event.method, event.tag, event.is_llm]
                except KeyError:
                    found = self._calls_like(event)
                    if found is None:
                        return False, others
                    calls = found
                try:
                    calls.durations_ns.append(event.duration_ns)
                except OverflowError:  # below zero
                    calls.durations_ns.append(0)
                status = event.status
                if status >= 400 or not status:
                    calls.errors += 1
                calls.request_bytes += event.request_bytes
                calls.response_bytes += event.response_bytes
                if event.at_ns < calls.started_at_ns:  # noqa: PLR1730 - min() is a call
                    calls.started_at_ns = event.at_ns
            elif isinstance(event, LlmEvent) and not self._add_llm(event):
                return False, others
            else:
                others += 1
        return True, others

    def _calls_like(self, event: CallEvent) -> Optional[Calls]:
        """Those that ``event`` is to be added to. None: it needs one bucket too many."""
        key, cost = self._classify(event.netloc, event.path, event.method)
        if self._is_too_much(key):
            return None
        # The same goes for all calls like it, unless there are credits, of which each takes its own.
        is_known = not cost or not self.credits
        if cost and (event.is_llm or (self.credits and self._takes_credit(key, event))):
            cost = 0
        calls = self._alike.get((key, event.tag, cost))
        if calls is None:
            calls = self._alike[key, event.tag, cost] = Calls(key, event.tag, cost, event.at_ns)
            self._delta.open(key, event.tag, cost)
        if is_known:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[event.netloc, event.path, event.method, event.tag, event.is_llm] = calls
        return calls

    def _add_llm(self, event: LlmEvent) -> bool:
        """The call's true cost goes where its HTTP call is counted, else into a row of its own.

        Where the true cost is not known, the estimate that the HTTP call did not get is added after all.
        False: it needs a bucket too many, or its line is one too many.
        """
        if self.log.is_full:
            return False
        like = event.netloc, event.path, event.method, event.provider, event.model, event.tag
        known = self._known_llm.get(like)
        if known is None:
            known = self._open_llm(event)
            if known is None:
                return False
            if len(self._known_llm) >= MAX_KNOWN:
                self._known_llm.clear()
            self._known_llm[like] = known
        cost = max(0, event.cost_pico_usd) if event.is_priced or not event.netloc else known.estimate_pico_usd
        self._delta.add_llm(known.rows, event, cost)
        if self._session.llm_log is not None:
            self.log.add(event, self._session.environment)
        if event.by_hand and event.is_priced and not self._take_estimate(event):
            self.credits.add(event.provider, event.at_ns + event.duration_ns)
        return True

    def _open_llm(self, event: LlmEvent) -> Optional[_KnownLlm]:
        """Where ``event`` and its like are counted. None: it needs one bucket too many."""
        key, estimate = (event.provider, event.model, TRACKED), 0
        if event.netloc:
            key, estimate = self._classify(event.netloc, event.path, event.method)
        if self._is_too_much(key):
            return None
        return _KnownLlm(self._delta.open_llm(key, event), estimate)

    def _is_too_much(self, key: BucketKey) -> bool:
        return self._delta.would_overflow(key, self._session.max_buckets, self.committed)

    def _take_estimate(self, event: LlmEvent) -> bool:
        """Off one captured call to the same provider, of the kind that was seen last for the first time."""
        delta, committed = self.delta(), self.committed
        keys = [*(key for key in committed.estimated() if key not in delta.estimated()), *delta.estimated()]
        of_provider = (key for key in reversed(keys) if canonical(key[0]) == event.provider)
        return any(delta.take_estimate(key, event.tag, committed) for key in of_provider)

    def _takes_credit(self, key: BucketKey, event: CallEvent) -> bool:
        return self.credits.take(canonical(key[0]), event.at_ns + event.duration_ns)
