"""The tables of a run in Markdown: each ending, for ``docs/servers.md``, and a line for each server, for the README."""

from __future__ import annotations

from collections.abc import Iterable

from tests.documents import block
from tests.servers.results import NOT_WHOLE, UNAVAILABLE, WHOLE, Matrix, Result

COLUMNS = ("graceful", "reload", "SIGKILL")
HEADER = ("server", "workers", "graceful stop", "reload", "SIGKILL", "another end")
SHORT_HEADER = ("server", "how its workers are made", "runs", "calls made", "delivered", "in flight when killed")


def as_markdown(matrix: Matrix) -> str:
    """A line for each server and mode, with each of its endings."""
    rows: dict[tuple[str, str], list[Result]] = {}
    for cell in matrix.cells:
        rows.setdefault((cell.server, cell.mode), []).append(cell)
    full = block.table(HEADER, ((*names, *_columns(cells)) for names, cells in rows.items()))
    return f"{_run(matrix)}\n\n{full}"


def as_short_markdown(matrix: Matrix) -> str:
    """A line for each server, all of its modes and endings together."""
    servers: dict[str, list[Result]] = {}
    for cell in matrix.cells:
        servers.setdefault(cell.server, []).append(cell)
    return f"{_run(matrix)}\n\n{block.table(SHORT_HEADER, map(_together, servers, servers.values()))}"


def _together(server: str, cells: list[Result]) -> list[str]:
    ran = [cell for cell in cells if cell.verdict != UNAVAILABLE]
    wrong = sum(not cell.holds for cell in ran)
    runs = f"{len(ran)}" + f", **{wrong} not whole**" * bool(wrong)
    modes = "; ".join(dict.fromkeys(cell.mode.partition(",")[0] for cell in cells))
    sums = (sum(cell.made for cell in ran), sum(cell.delivered for cell in ran), sum(cell.in_flight for cell in ran))
    return [server, modes, runs, *(f"{count:,}" for count in sums)]


def _run(matrix: Matrix) -> str:
    calls = sum(cell.made for cell in matrix.cells)
    whole = sum(cell.verdict == WHOLE for cell in matrix.cells)
    missing = sum(cell.verdict == UNAVAILABLE for cell in matrix.cells)
    not_run = f", {missing} cannot be run there" if missing else ""
    versions = ", ".join(f"{name} {version}" for name, version in matrix.versions.items())
    return (
        f"{matrix.date}, {matrix.machine}, Python {matrix.python}: {len(matrix.cells)} cells, "
        f"{whole} whole{not_run}; {calls:,} calls. {versions}."
    )


def _columns(cells: Iterable[Result]) -> list[str]:
    by_ending = {cell.ending: _told(cell) for cell in cells}
    others = [f"{ending}: {told}" for ending, told in by_ending.items() if ending not in COLUMNS]
    return [*(by_ending.get(column, "") for column in COLUMNS), "; ".join(others)]


def _told(cell: Result) -> str:
    """``made / delivered``, and of those missing, how many were under way."""
    if cell.verdict == UNAVAILABLE:
        return f"not run: {cell.why}"
    if cell.verdict not in {WHOLE, NOT_WHOLE}:
        return "**failed**"
    counts = f"{cell.made:,} / {cell.delivered:,}"
    if cell.in_flight:
        counts += f" ({cell.in_flight} in flight)"
    if cell.delivered > cell.made:
        counts += f" ({cell.given_up} cancelled)"
    return counts if cell.holds else f"**{counts}**"
