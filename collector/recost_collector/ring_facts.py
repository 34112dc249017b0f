"""What ``doctor --rings`` says of a ring: the fields of its JSON, which are only ever added to.

Nothing here can hold a key.  Positions and sizes are in bytes, times in ms since the epoch.
"""

from __future__ import annotations

from typing import Literal, Optional

import msgspec

from recost.ring import layout

FLUSH_STATES = {layout.FLUSH_NONE: "none", layout.FLUSH_OK: "ok", layout.FLUSH_ERROR: "error"}

OwnerState = Literal["alive", "dead", "another boot", "another pid namespace"]


class Problem(msgspec.Struct, frozen=True):
    """Something wrong, and what to do about it if there is something to do."""

    kind: str
    text: str
    mend: str = ""


class FileFacts(msgspec.Struct):
    size_bytes: int
    mode: str
    """Octal, ``0600``."""
    uid: int
    modified_at_ms: int


class OwnerFacts(msgspec.Struct):
    state: OwnerState
    lock_pid: Optional[int]
    """Who took the lock that says that the owner lives; None where that cannot be seen, or nobody has it."""


class HeaderFacts(msgspec.Struct):
    layout: str
    byte_order: Literal["little", "big"]
    ring_id: str = ""
    boot_id: str = ""
    pid: int = 0
    """As its owner sees it, in the pid namespace below."""
    process_start: int = 0
    pid_namespace: int = 0
    made_at_ms: int = 0
    capacity_bytes: int = 0
    data_offset: int = 0
    session_bytes: int = 0
    session_crc: int = 0


class SessionFacts(msgspec.Struct):
    project: str
    environment: str
    destination: str
    """Without user-info and query."""
    sdk_version: str
    has_key: bool


class WordFacts(msgspec.Struct):
    """The producer's words, then the collector's."""

    tail: int
    head: int
    backlog_bytes: int
    fill_percent: float
    published: int
    dropped_full: int
    dropped_big: int
    faults: int
    lost: int
    """Calls that no ring kept."""
    flush_requested: int
    flushes: int
    closed: bool
    heartbeat: int
    epoch: int
    flushed_through: int
    flush_status: str
    """``none``, ``ok``, ``error``, or the number that is there instead."""
    flush_size: int
    flush_at_ms: int
    auth_failures: int
    notices: int
    flushes_done: int


def word_facts(words: tuple[int, ...], capacity: int) -> WordFacts:
    """The words of a ring's first two pages by their names."""
    backlog = max(0, words[layout.TAIL] - words[layout.HEAD])
    status = words[layout.FLUSH_STATUS]
    return WordFacts(
        tail=words[layout.TAIL],
        head=words[layout.HEAD],
        backlog_bytes=backlog,
        fill_percent=round(100 * backlog / capacity, 1) if capacity else 0.0,
        published=words[layout.RECORDS],
        dropped_full=words[layout.DROPPED_FULL],
        dropped_big=words[layout.DROPPED_BIG],
        faults=words[layout.FAULTS],
        lost=words[layout.LOST],
        flush_requested=words[layout.FLUSH_REQUESTED],
        flushes=words[layout.FLUSHES],
        closed=bool(words[layout.CLOSED]),
        heartbeat=words[layout.HEARTBEAT],
        epoch=words[layout.EPOCH],
        flushed_through=words[layout.FLUSHED_THROUGH],
        flush_status=FLUSH_STATES.get(status, str(status)),
        flush_size=words[layout.FLUSH_SIZE],
        flush_at_ms=words[layout.FLUSH_AT_MS],
        auth_failures=words[layout.AUTH_FAILURES],
        notices=words[layout.NOTICES],
        flushes_done=words[layout.FLUSHES_DONE],
    )


class NoticeFacts(msgspec.Struct):
    number: int
    kind: str
    text: str


class Tally(msgspec.Struct):
    """The records from head to tail. Counts, where a collector works at the same time, are of one glimpse."""

    readable: int = 0
    """Whole ones up to the first that is not."""
    first_sequence: Optional[int] = None
    last_sequence: Optional[int] = None
    lost: int = 0
    """Numbers that are missing between readable ones."""
    lost_at: Optional[int] = None
    """The position of the first gap."""
    unreadable_at: Optional[int] = None
    unreadable_why: str = ""
    readable_behind: int = 0
    """Whole ones behind the first that is not; the collector gives them up together with it."""
    undecodable: int = 0
    """Whole ones whose content this version does not know."""
    released: Optional[int] = None
    """Collected ones that are still readable; None: the ring is so large that they were not looked for."""
    first_event_at_ms: Optional[int] = None
    """Of the oldest one that waits, with what is behind the unreadable."""
    last_event_at_ms: Optional[int] = None
    """Of the newest one there is, collected or not."""
    moved_on: bool = False
    """The collector released records while they were read here, again and again."""


class Event(msgspec.Struct):
    """One call, for ``--records``."""

    sequence: int
    position: int
    released: bool
    at_ms: int
    method: str
    host: str
    path: str
    status: int
    ms: float


class RingReport(msgspec.Struct):
    """One file. What could not be read is null."""

    path: str = ""
    finished: bool = True
    """False: it still has the name that it has while it is made."""
    file: Optional[FileFacts] = None
    owner: Optional[OwnerFacts] = None
    header: Optional[HeaderFacts] = None
    session: Optional[SessionFacts] = None
    words: Optional[WordFacts] = None
    records: Optional[Tally] = None
    notices: list[NoticeFacts] = []
    events: list[Event] = []
    problems: list[Problem] = []


class CollectorFacts(msgspec.Struct):
    state: Literal["at work", "silent", "unknown", "none"]
    """silent: it has the lock and moves nothing. unknown: no ring to see it by, or it is in another pid namespace."""
    pid: int = 0
    version: str = ""
    kind: str = ""


class DirectoryReport(msgspec.Struct):
    """A runtime directory whose rings were looked at."""

    path: str
    collector: CollectorFacts
    quarantine: str = ""
    """Where the bytes are that a collector gave up last, raw; empty: there is no such file."""
    quarantine_bytes: int = 0
    problems: list[Problem] = []


class Findings(msgspec.Struct):
    """All of it."""

    directories: list[DirectoryReport] = []
    rings: list[RingReport] = []
    unreachable: dict[str, str] = {}
    """Paths that were asked for and cannot be looked at, with the reason."""
    exit_code: int = 0
