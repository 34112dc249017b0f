"""Every system call on a file that the collector makes kills it, or fails; the next collector brings it to exact."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from recost import paths
from recost.leader import WAKE
from recost_collector.changes import Changes
from recost_collector.courier import Courier
from recost_collector.exporters.ndjson import NdjsonExporter
from recost_collector.spool import Spool, SpoolTrouble
from tests.faults.forked import HUNG, Helper, wait_for_end
from tests.faults.killing import one_collect, strace
from tests.faults.killing.application import STDERR, Application
from tests.faults.killing.strace import Gate, SystemCall
from tests.faults.replacing import replace
from tests.faults.row import Row, Trial
from tests.harness import start_child, wait_for_child

KILLED, WENT_ON, RAISED = -signal.SIGKILL, 0, 1
KILL = "signal=SIGKILL"
ERRORS = ("ENOSPC", "EIO", "EINTR", "EDQUOT")
LOOP, COURIER = "loop", "courier"
"""The threads of a collector that touch files."""
QUICK_TRIES = 40
CONTROLS = 20
ATTEMPTS = 3
"""At a call that a run may not make, for its threads do not take turns in the same way each time."""


class Outcome(NamedTuple):
    """What came of one try."""

    code: int
    """Of the collector that the fault was for."""
    hit: bool
    faults: list[str]


def _stay() -> None:
    one_collect.collect(stay=True)


def _kill(trial: Trial) -> None:
    with _tries(trial) as tries:
        calls = tries.calls()
        outcomes = tries.each(calls, itertools.repeat(KILL), ends={KILLED})
    _tell(trial, calls, outcomes, "each killed the collector once")
    with _tries(trial, _forget_the_intent) as tries:
        trial.controlled("the note of where a line goes", *tries.control(_behind_each_line(calls), KILL))


def _fail(trial: Trial) -> None:
    with _tries(trial) as tries:
        calls = tries.calls()
        errors = itertools.cycle(trial.random.sample(ERRORS, len(ERRORS)))
        outcomes = tries.each(calls, (f"error={error}" for error in errors), ends={WENT_ON, RAISED})
        into_the_spool = [call for call in calls if call.name == "pwrite64" and call.file.endswith("-wal")]
        trial.controlled("SQLite's answer", *tries.control(into_the_spool, "error=ENOSPC", _hear_nothing))
    ended = sum(one.code == RAISED for one in outcomes if one.hit)
    _tell(trial, calls, outcomes, f"each failed once; the collector ended after {ended} of them, else went on")


def _behind_each_line(calls: list[SystemCall]) -> list[SystemCall]:
    """Those of a courier between writing a line and saying so to the loop."""
    found = []
    is_behind = False
    for call in calls:
        if is_behind:
            found.append(call)
        if call.thread == COURIER and call.name == "write" and call.file in {f"{one_collect.PROJECT}.jsonl", WAKE}:
            is_behind = call.file != WAKE
    return found


def _tries(trial: Trial, next_collector: Callable[[], object] = _stay) -> contextlib.closing[Tries]:
    reason = strace.why_not()
    if reason:
        trial.skip(reason)
    return contextlib.closing(Tries(trial, next_collector))


def _tell(trial: Trial, calls: list[SystemCall], outcomes: list[Outcome], what: str) -> None:
    kinds, files = len({call.name for call in calls}), len({call.file for call in calls})
    hit = sum(one.hit for one in outcomes)
    trial.figure(f"{hit} of {len(calls)} calls, of {kinds} kinds on {files} files, {what}")


class Tries:
    """A collect with one fault, calls that come after it, and a collect with none."""

    def __init__(self, trial: Trial, next_collector: Callable[[], object]) -> None:
        self._trial = trial
        self._root = trial.memory / "place"
        self._output = trial.memory / "strace"
        self._log = trial.memory / "log"
        # Where state goes when its place fails is every collector's of this user: another one, at work beside us,
        # would rightly adopt what a broken one leaves there, and its counters with it.
        lasting = trial.memory / "lasting"
        lasting.mkdir(exist_ok=True)
        replace(paths, "LASTING_TEMP", str(lasting))
        one_collect.new_place(self._root)
        self._next_collector = Helper(lambda _: next_collector())

    def close(self) -> None:
        self._next_collector.stop()

    def calls(self) -> list[SystemCall]:
        """Those of an undisturbed collect, thread by thread."""
        found = []
        for thread in (LOOP, COURIER):
            outcome = self._try(thread, "-y", "-e", f"trace={strace.CALLS}")
            clean = outcome.code == WENT_ON and not outcome.faults
            self._trial.check(clean, f"undisturbed: code {outcome.code}, {outcome.faults}")
            found += strace.calls_in(self._output, thread)
        return found

    def each(self, calls: list[SystemCall], faults: Iterable[str], ends: set[int]) -> list[Outcome]:
        """Every call with the fault that is its turn; in the quick form some of them."""
        plan = list(zip(calls, faults))
        chosen = plan if self._trial.full else self._trial.random.sample(plan, QUICK_TRIES)
        self._trial.plan(len(chosen))
        return [self._break(call, fault, ends) for call, fault in chosen]

    def control(
        self, calls: list[SystemCall], fault: str, first_collector: Callable[[], object] = one_collect.collect
    ) -> tuple[int, int]:
        """(wrong, tries) at some of these calls, with a collector that lacks a protection."""
        chosen = self._trial.random.sample(calls, min(CONTROLS, len(calls)))
        return sum(bool(self._inject(call, fault, first_collector).faults) for call in chosen), len(chosen)

    def _break(self, call: SystemCall, fault: str, ends: set[int]) -> Outcome:
        outcome = self._inject(call, fault)
        for _ in range(ATTEMPTS - 1):
            if outcome.hit or outcome.faults:
                break
            outcome = self._inject(call, fault)
        for text in outcome.faults:
            self._trial.violated(f"{call}, {fault}: {text}")
        wanted = ends if outcome.hit else {WENT_ON}
        self._trial.check(outcome.code in wanted, f"{call}, {fault}: the collector ended with {outcome.code}")
        self._trial.tried()
        return outcome

    def _inject(self, call: SystemCall, fault: str, collect: Callable[[], object] = one_collect.collect) -> Outcome:
        options = ("-e", f"trace={call.name}", "-e", f"inject={call.name}:{fault}:when={call.nth}")
        return self._try(call.thread, *options, collect=collect)

    def _try(self, thread: str, *options: str, collect: Callable[[], object] = one_collect.collect) -> Outcome:
        place = one_collect.new_place(self._root)
        self._output.write_bytes(b"")
        one_collect.leave_a_dead_workers_ring()
        application = Application(place)
        gate = Gate()
        pid = start_child(partial(self._be_collector, thread, gate, collect))
        stopped = gate.thread()
        with strace.attached(stopped, self._output, *options) if stopped else contextlib.nullcontext():
            gate.open()
        code = _code_of(pid)
        hit = code == KILLED or "(INJECTED)" in self._output.read_text(errors="replace")
        faults = application.end()
        second = self._next_collector()
        faults += [f"the next collector ended with {second}"] if second else []
        return Outcome(code, hit, faults + one_collect.faults_of(place))

    def _be_collector(self, thread: str, gate: Gate, collect: Callable[[], object]) -> None:
        os.dup2(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), STDERR)
        if thread == LOOP:
            gate.stop()
        else:
            _stop_courier(gate)
        collect()


def _code_of(pid: int) -> int:
    wait_for_end(pid)
    try:
        return wait_for_child(pid)
    except AssertionError:  # it did not end in time, and was killed
        return HUNG


def _stop_courier(gate: Gate) -> None:
    """The first courier's thread stops at the gate before it does anything."""
    run = Courier._run

    def stop_and_run(self: Courier) -> None:
        Courier._run = run  # type: ignore[method-assign]
        gate.stop()
        run(self)

    Courier._run = stop_and_run  # type: ignore[method-assign]


def _forget_the_intent() -> None:
    """A collector whose file exporter never looks whether the line is there."""
    NdjsonExporter._is_there = lambda *_: False  # type: ignore[method-assign]
    one_collect.collect(stay=True)


def _hear_nothing() -> None:
    """A collector that takes every transaction for done."""
    commit = Spool.commit

    def commit_or_not(self: Spool, changes: Changes) -> None:
        with contextlib.suppress(SpoolTrouble):
            commit(self, changes)

    Spool.commit = commit_or_not  # type: ignore[method-assign]
    one_collect.collect()


ROWS = [
    Row(
        "syscalls.kill",
        "a collector killed at any system call on a file: totals are exact, the application notices nothing",
        _kill,
        in_quick=False,
    ),
    Row(
        "syscalls.errno",
        "any one system call of the collector on a file fails: totals are exact after the next collector",
        _fail,
        in_quick=False,
    ),
]
