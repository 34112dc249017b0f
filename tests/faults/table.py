"""The table of a run: for a terminal, and as Markdown for docs/faults.md and the README."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.row import Verdict

COLUMNS = ("row", "tries", "violations", "control", "s", "figures")


def as_text(verdicts: Sequence[Verdict]) -> str:
    """Columns, and under each row that does not hold what was violated."""
    lines = [_cells(verdict) for verdict in verdicts]
    widths = [max(len(row[at]) for row in [COLUMNS, *lines]) for at in range(len(COLUMNS) - 1)]
    out = [_aligned(COLUMNS, widths)]
    for verdict, line in zip(verdicts, lines):
        out.append(_aligned(line, widths))
        out += [f"    ! {text}" for text in verdict.violations]
    return "\n".join(out)


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    """Every row with its promise."""
    header = ("row", "holds when", "tries", "violations", "control", "figures")
    out = [_piped(header), _piped(["---"] * len(header))]
    for verdict in verdicts:
        name, tries, violations, control, _seconds, figures = _cells(verdict)
        out.append(_piped((f"`{name}`", verdict.promise, tries, violations, control, figures)))
    return "\n".join(out)


def as_summary(verdicts: Sequence[Verdict]) -> str:
    """Markdown with a line for each family of rows."""
    families: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        families.setdefault(verdict.name.partition(".")[0].partition("[")[0], []).append(verdict)
    out = [
        _piped(("what is broken", "rows", "tries", "violations", "controls that failed as they should")),
        _piped(["---"] * 5),
    ]
    for family, members in families.items():
        ran = [member for member in members if not member.skipped]
        controls = [member.control for member in ran if member.control is not None]
        cells = (
            family,
            f"{len(ran)}" + (f" ({len(members) - len(ran)} skipped)" if len(ran) < len(members) else ""),
            f"{sum(member.tries for member in ran):,}",
            str(sum(map(_violations, ran))),
            f"{sum(control.wrong > 0 for control in controls)} of {len(controls)}" if controls else "",
        )
        out.append(_piped(cells))
    return "\n".join(out)


def _cells(verdict: Verdict) -> tuple[str, ...]:
    control = verdict.control
    shown = "" if control is None else f"without {control.without}: {control.wrong:,} of {control.tries:,} wrong"
    if control is not None and not control.wrong:
        shown = f"SHOWED NOTHING: {shown}"
    if verdict.skipped:
        return verdict.name, "skipped", "", "", "", verdict.skipped
    figures = "; ".join(verdict.figures)
    return verdict.name, f"{verdict.tries:,}", str(_violations(verdict)), shown, f"{verdict.seconds:.0f}", figures


def _violations(verdict: Verdict) -> int:
    return len(verdict.violations) + verdict.more_violations


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths)]
    return "  ".join([*padded, cells[-1]]).rstrip()


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
