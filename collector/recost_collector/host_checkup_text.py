"""An examination as a person reads it: the verdict, then a line per check, and the mend below what is not well."""

from __future__ import annotations

from recost_collector.checks import Check
from recost_collector.figures import plural, printable
from recost_collector.host_checkup import Examination
from recost_collector.paint import Painter

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
NAME_WIDTH = 17


def to_text(examination: Examination, painter: Painter) -> str:
    lines = [_headline(examination)]
    for check in examination.checks:
        lines += _lines(check, painter)
    return "\n".join(lines) + "\n"


def _headline(examination: Examination) -> str:
    failed = sum(check.verdict == "fail" for check in examination.checks)
    warned = sum(check.verdict == "warn" for check in examination.checks)
    if failed:
        more = f", {plural(warned, 'warning')}" if warned else ""
        return f"not well: {plural(failed, 'problem')}{more}"
    return f"well, with {plural(warned, 'warning')}" if warned else f"all is well: {len(examination.checks)} checks"


def _lines(check: Check, painter: Painter) -> list[str]:
    word = painter.paint(check.verdict.ljust(4), _COLOURS[check.verdict])
    lines = [f"{word}  {check.name:<{NAME_WIDTH}}  {printable(check.text)}"]
    if check.mend:
        lines.append(f"{'':4}  {'':{NAME_WIDTH}}  to do: {printable(check.mend)}")
    return lines
