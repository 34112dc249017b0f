"""Rows as text, and money as it is shown. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from recost.bucket import PICO_USD_PER_CENT


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[int]) -> str:
    """Columns two spaces apart; those in ``numbers`` are flush right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(_line(line, widths, numbers) for line in lines)


def format_cents(pico_usd: int) -> str:
    """Two places, more where the amount is smaller than that."""
    cents = pico_usd / PICO_USD_PER_CENT
    return f"{cents:.2f}" if pico_usd % (PICO_USD_PER_CENT // 100) == 0 else f"{cents:.4f}"


def _line(cells: Sequence[str], widths: Sequence[int], numbers: Collection[int]) -> str:
    placed = [
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths))
    ]
    return "  ".join(placed).rstrip()
