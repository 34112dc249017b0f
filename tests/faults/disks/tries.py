"""The tries of a row, and its control: they mostly wait, so they run side by side, each in a process of its own."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Optional

import msgspec

from tests.faults.replacing import keep_protections
from tests.faults.row import Skipped, Trial, Verdict
from tests.harness import start_child, wait_for_child

TRY_S = 300.0


class Without(NamedTuple):
    """The control: a try that does ``take_away`` a protection and should see a violation, and none with it kept."""

    what: str
    run: Callable[[Trial], None]


class Report(msgspec.Struct):
    """What the process of a try has to say."""

    found: Verdict
    fault: str = ""
    """What ended it before its time."""


def side_by_side(
    trial: Trial, tries: Sequence[Callable[[Trial], None]], at_once: int = 8, control: Optional[Without] = None
) -> None:
    """Make each try, and its control, in a process and folders of its own, and add up what they found.

    A try that does not come to its end is a violation, also one of the control.  A control that sees something wrong
    with the protection in its place, too, is a violation: what it sees without would show nothing.
    """
    trial.plan(len(tries))
    controls = [control.run] * trial.size(1, 3) if control is not None else []
    guarded = [partial(_with_protections, control.run)] if control is not None else []
    found = _make_all(trial, [*tries, *controls, *guarded], at_once)
    for one in found[: len(tries)]:
        if one is not None:
            _add(trial, one)
    if control is not None:
        wrong = [one for one in found[len(tries) :] if one is not None and one.violations]
        kept = found[-1]
        for text in kept.violations if kept is not None else ():
            trial.violated(f"the control sees the same with {control.what}: {text}")
        trial.controlled(control.what, sum(one is not kept for one in wrong), len(controls))


def _make_all(trial: Trial, tries: Sequence[Callable[[Trial], None]], at_once: int) -> list[Optional[Verdict]]:
    """What each has found, in their order; None where it did not come to its end."""
    found: list[Optional[Verdict]] = [None] * len(tries)
    waiting = list(enumerate(tries))
    running: dict[int, tuple[int, Path]] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            number, run = waiting.pop(0)
            pid, report = _start_try(trial, number, run)
            running[pid] = number, report
        pid, (number, report) = next(iter(running.items()))
        del running[pid]
        found[number] = _end_of_try(trial, report, wait_for_child(pid, TRY_S))
    return found


def _with_protections(run: Callable[[Trial], None], trial: Trial) -> None:
    keep_protections()
    run(trial)


def apart(trial: Trial, name: str) -> Trial:
    """A trial in folders of its own, whose findings are not those of ``trial``."""
    roots = (trial.memory / name, trial.disk / name)
    for root in roots:
        root.mkdir(mode=0o700)
    seed = trial.random.getrandbits(32)
    return Trial(trial.verdict.name, full=trial.full, seed=seed, roots=roots, kills=trial.kills)


def _start_try(trial: Trial, number: int, run: Callable[[Trial], None]) -> tuple[int, Path]:
    own = apart(trial, f"try-{number}")
    report = own.disk / "verdict"

    def make_try() -> None:
        fault = ""
        try:
            run(own)
        except Skipped as reason:
            own.verdict.skipped = str(reason)
        except Exception:  # noqa: BLE001 - whatever it was, the try did not hold
            fault = traceback.format_exc(limit=-4)
        report.write_bytes(msgspec.json.encode(Report(own.verdict, fault)))

    return start_child(make_try), report


def _end_of_try(trial: Trial, path: Path, code: int) -> Optional[Verdict]:
    """What a try has found; None when it did not come to its end."""
    if not trial.check(code == 0 and path.exists(), f"a try ended with {code}, its output is the row's"):
        return None
    report = msgspec.json.decode(path.read_bytes(), type=Report)
    if report.found.skipped:
        trial.skip(report.found.skipped)
    trial.check(not report.fault, f"a try ended on a fault: {report.fault}")
    return report.found


def _add(trial: Trial, found: Verdict) -> None:
    for text in found.violations:
        trial.violated(text)
    trial.verdict.more_violations += found.more_violations
    trial.verdict.figures += found.figures
    if found.control is not None:
        trial.verdict.control = found.control
    trial.tried(found.tries or 1)
