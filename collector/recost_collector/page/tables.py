"""The tables of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple, Union

from recost_collector import figures
from recost_collector.page.series import Axis, Series
from recost_collector.sums import Sums

MOST_ROWS = 500

Value = Union[int, float]


class Cell(NamedTuple):
    """A figure as people read it, and for sorting."""

    text: str
    value: Value = 0
    share: float = -1.0
    """Of the whole, shown as a bar behind the text; below 0: no bar."""


CALLS = slice(0, 3)
LATENCIES = slice(3, 6)
"""Of ``FIGURES``."""
FIGURES = ("calls", "errors", "error %", "mean", "p50 max", "p95 max", "sent", "received", "cost")


def figure_cells(sums: Sums, total: Sums, *, has_sizes: bool = True) -> list[Cell]:
    """In the order of ``FIGURES``. ``has_sizes`` False: of bytes nothing is known."""
    share = sums.cost_pico_usd / total.cost_pico_usd if total.cost_pico_usd else -1.0
    return [
        Cell(figures.count(sums.calls), sums.calls),
        Cell(figures.count(sums.errors), sums.errors),
        Cell(figures.percent(sums.errors, sums.calls), sums.errors / sums.calls if sums.calls else 0),
        Cell(figures.latency(sums.mean_ms), sums.mean_ms),
        Cell(figures.latency(sums.max_p50_ms), sums.max_p50_ms),
        Cell(figures.latency(sums.max_p95_ms), sums.max_p95_ms),
        Cell(figures.size(sums.request_bytes), sums.request_bytes) if has_sizes else Cell("-"),
        Cell(figures.size(sums.response_bytes), sums.response_bytes) if has_sizes else Cell("-"),
        Cell(figures.money(sums.cost_pico_usd), sums.cost_pico_usd, share),
    ]


def table(
    names: Sequence[str],
    titles: Sequence[str],
    rows: Sequence[tuple[Sequence[str], Sequence[Cell]]],
    foot: Sequence[Cell] = (),
) -> str:
    """``names`` are titles of texts, ``titles`` those of figures."""
    head = "".join(f'<th class="name" scope="col">{escape(name)}</th>' for name in names)
    head += "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join(_row(texts, cells) for texts, cells in rows[:MOST_ROWS])
    more = len(rows) - MOST_ROWS
    if more > 0:
        body += f'<tr><td class="name" colspan="{len(names) + len(titles)}">and {more:,} more rows</td></tr>'
    foot = [cell._replace(share=-1.0) for cell in foot]
    tail = f"<tfoot>{_row(['total', *[''] * (len(names) - 1)], foot)}</tfoot>" if foot else ""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>{tail}</table></div>'


def slot_table(axis: Axis, slots: Sequence[Sums], total: Sums, which: slice) -> str:
    """Some of the figures of each slot in which there was a call, the latest first."""
    rows = [([axis.full_label(at)], figure_cells(sums, total)[which]) for at, sums in _occupied(slots)]
    return table(["UTC"], FIGURES[which], rows[::-1], figure_cells(total, total)[which])


def spend_table(axis: Axis, series: Sequence[Series]) -> str:
    """What each of the series cost in each slot."""
    wholes = [sum(sums.cost_pico_usd for sums in slots) for slots in zip(*(each.slots for each in series))]
    rows = [
        ([axis.full_label(at)], [_money(each.slots[at].cost_pico_usd) for each in series] + [_money(whole)])
        for at, whole in enumerate(wholes)
        if whole
    ]
    foot = [_money(sum(sums.cost_pico_usd for sums in each.slots)) for each in series]
    return table(["UTC"], [*(each.name for each in series), "all"], rows[::-1], [*foot, _money(sum(wholes))])


def _occupied(slots: Sequence[Sums]) -> Iterable[tuple[int, Sums]]:
    return ((at, sums) for at, sums in enumerate(slots) if sums.calls or sums.cost_pico_usd)


def _money(pico_usd: int) -> Cell:
    return Cell(figures.money(pico_usd), pico_usd)


def _row(texts: Sequence[str], cells: Sequence[Cell]) -> str:
    named = "".join(f'<td class="name">{escape(figures.printable(text))}</td>' for text in texts)
    return f"<tr>{named}{''.join(map(_cell, cells))}</tr>"


def _cell(cell: Cell) -> str:
    bar = f' class="bar" style="--share:{100 * cell.share:.1f}%"' if cell.share >= 0 else ""
    return f'<td data-value="{cell.value:.12g}"{bar}>{escape(cell.text)}</td>'
