"""The rings of a host, looked at one by one, and whether anybody collects them. Changes nothing, locks nothing."""

from __future__ import annotations

import os
import stat
import time
from typing import Optional

from recost.leader import LEADER_INFO, LEADER_LOCK, Leader, read_leader, sign_of_life
from recost.origins import pid_namespace
from recost.paths import WRITABLE_BY_OTHERS, runtime_dirs
from recost.ring.files import RING_PREFIX, UNFINISHED_PREFIX
from recost_collector.figures import as_json, size
from recost_collector.ring_facts import CollectorFacts, DirectoryReport, Findings, Problem, RingReport
from recost_collector.ring_look import Locks, heartbeat, locked_by, look, read_locks

OK, WRONG, NOT_RUNNING, UNREACHABLE = 0, 1, 3, 4
"""Of the exit codes of ``recost-collector``, those that come of what is found."""

BEAT_WAIT_S = 2.0
"""A collector turns at least five times a second; this long without a turn, it hangs."""
BEAT_POLL_S = 0.02

QUARANTINE_FILE = "quarantine.bin"
"""Where a collector keeps what it gave up last, beside its spool."""

_RUN = "wait for the next call of a worker, which starts one, or run: recost-collector run"


def check(paths: list[str], directory: Optional[str], keep: int) -> Findings:
    """Look at the rings that ``paths`` name, else at all in ``directory``, else in this user's runtime directories.

    Takes up to ``BEAT_WAIT_S`` for each directory whose collector shows no sign of life.
    """
    checkup = _Checkup(keep)
    for path in paths:
        checkup.take(path)
    if not paths and directory is not None:
        checkup.take_directory(directory, is_runtime=True)
    if not paths and directory is None:
        for path in runtime_dirs():
            if os.path.lexists(path):
                checkup.take_directory(path, is_runtime=True)
    return checkup.conclude()


def to_json(findings: Findings) -> str:
    """One object; ``doctor --help`` lists its fields."""
    return as_json(findings)


class _Checkup:
    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._locks = read_locks()
        self._findings = Findings()
        self._of_directory: dict[str, list[RingReport]] = {}
        """The rings of runtime directories, by directory."""

    def take(self, path: str) -> None:
        """A path that the user has named."""
        if os.path.isdir(path):
            self.take_directory(path, is_runtime=_is_runtime(path))
            return
        directory = os.path.dirname(os.path.abspath(path))
        try:
            report = self._look(path, follow=True)
        except OSError as exc:
            self._cannot(path, exc)
            return
        if _is_runtime(directory):
            self._of_directory.setdefault(directory, []).append(report)

    def take_directory(self, path: str, *, is_runtime: bool) -> None:
        try:
            names = sorted(os.listdir(path))
        except OSError as exc:
            self._cannot(path, exc)
            return
        reports = self._of_directory.setdefault(path, []) if is_runtime else []
        for name in names:
            if not name.startswith((RING_PREFIX, UNFINISHED_PREFIX)):
                continue
            try:
                reports.append(self._look(os.path.join(path, name), follow=False))
            except FileNotFoundError:  # collected meanwhile
                continue
            except OSError as exc:
                self._cannot(os.path.join(path, name), exc)

    def conclude(self) -> Findings:
        findings = self._findings
        for path, rings in self._of_directory.items():
            findings.directories.append(_judge_directory(path, rings, self._locks))
        problems = [found.problems for found in findings.rings] + [found.problems for found in findings.directories]
        wrong = {problem.kind for of_one in problems for problem in of_one}
        if findings.unreachable:
            findings.exit_code = UNREACHABLE
        elif wrong:
            findings.exit_code = NOT_RUNNING if wrong == {"uncollected"} else WRONG
        for ring in findings.rings:
            ring.path = _as_utf8(ring.path)
        for directory in findings.directories:
            directory.path = _as_utf8(directory.path)
        return findings

    def _look(self, path: str, *, follow: bool) -> RingReport:
        report = look(path, self._locks, self._keep, follow=follow)
        self._findings.rings.append(report)
        return report

    def _cannot(self, path: str, exc: OSError) -> None:
        self._findings.unreachable[_as_utf8(path)] = exc.strerror or str(exc)


def _is_runtime(directory: str) -> bool:
    """Whether a collector works there, or did, or would."""
    return os.path.exists(os.path.join(directory, LEADER_LOCK)) or _is_ours(directory)


def _is_ours(directory: str) -> bool:
    return os.path.realpath(directory) in map(os.path.realpath, runtime_dirs())


def _judge_directory(path: str, rings: list[RingReport], locks: Locks) -> DirectoryReport:
    leader = read_leader(path) if os.path.isfile(os.path.join(path, LEADER_INFO)) else None
    report = DirectoryReport(path, _find_collector(path, rings, leader, locks))
    found = os.stat(path, follow_symlinks=False)
    trouble = _directory_trouble(path, found)
    if trouble:
        text = f"workers and collectors refuse the directory: {trouble}"
        report.problems.append(Problem("directory", text, "remove it, or name another one in RECOST_RUNTIME_DIR"))
    if report.collector.state == "silent":
        text = f"the collector, pid {report.collector.pid}, holds its lock and does nothing"
        report.problems.append(Problem("silent", text, "a worker replaces it after 10 s, or end it"))
    for ring in rings:
        _judge_ring(ring, found.st_uid, report.collector)
    if leader is not None:
        _find_quarantine(report, leader)
    return report


def _directory_trouble(path: str, found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return "it is a link"
    if found.st_mode & WRITABLE_BY_OTHERS:
        return f"its mode is {stat.S_IMODE(found.st_mode):04o}, others may write to it"
    if found.st_uid != os.geteuid() and _is_ours(path):
        return f"it is owned by uid {found.st_uid}"
    return ""


def _judge_ring(ring: RingReport, uid: int, collector: CollectorFacts) -> None:
    """What is wrong with it because it is in a runtime directory."""
    if ring.file is not None and ring.file.uid != uid:
        text = f"owned by uid {ring.file.uid}, its directory by uid {uid}: collectors skip it"
        ring.problems.append(Problem("owner", text, "remove it, when you know how it came there"))
    name = os.path.basename(ring.path)
    if ring.finished and ring.header is not None and ring.header.ring_id not in ("", name[len(RING_PREFIX) :]):
        text = f"its name is another ring's, by its header it is {ring.header.ring_id}: a copy"
        ring.problems.append(Problem("name", text, "move it elsewhere, collectors may take it for that one"))
    if collector.state in ("none", "unknown") and ring.words is not None and ring.words.backlog_bytes:
        dead = ", and its worker is dead" if ring.owner is not None and ring.owner.state == "dead" else ""
        text = f"no collector is at work{dead}: {size(ring.words.backlog_bytes)} wait"
        ring.problems.append(Problem("uncollected", text, _RUN))


def _find_collector(path: str, rings: list[RingReport], leader: Optional[Leader], locks: Locks) -> CollectorFacts:
    holder = _leader_lock_holder(path, locks)
    elsewhere = leader is not None and leader.pid_namespace != pid_namespace()
    if holder is None and not elsewhere and not (leader is not None and leader.is_alive()):
        return CollectorFacts("none")
    facts = CollectorFacts("unknown", holder or 0)
    if leader is not None:
        facts.pid, facts.version, facts.kind = leader.pid, leader.version, leader.kind
    beating = _wait_for_beat(path, [ring.path for ring in rings if ring.words is not None and ring.finished])
    if beating:
        facts.state = "at work"
    elif beating is False and holder is not None:
        facts.state = "silent"
    elif beating is False and not elsewhere:
        return CollectorFacts("none")
    return facts


def _leader_lock_holder(directory: str, locks: Locks) -> Optional[int]:
    try:
        return locked_by(locks, os.stat(os.path.join(directory, LEADER_LOCK)))
    except OSError:
        return None


def _wait_for_beat(directory: str, paths: list[str]) -> Optional[bool]:
    """Whether the leader's counter moves in any of the rings, or it shows life; None when there is no ring to go by."""
    life = sign_of_life(directory)
    before = {path: heartbeat(path) for path in paths}
    before = {path: beat for path, beat in before.items() if beat is not None}
    deadline = time.monotonic() + BEAT_WAIT_S
    while before:
        if sign_of_life(directory) != life or any(heartbeat(path) not in (None, beat) for path, beat in before.items()):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(BEAT_POLL_S)
    return None


def _find_quarantine(report: DirectoryReport, leader: Leader) -> None:
    path = os.path.join(leader.spool, QUARANTINE_FILE)
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return
    if stat.S_ISREG(found.st_mode):
        report.quarantine, report.quarantine_bytes = path, found.st_size


def _as_utf8(name: str) -> str:
    """A file's name may be no UTF-8; JSON is."""
    return os.fsencode(name).decode("utf-8", "replace")
