"""Tables and figures on a terminal."""

from __future__ import annotations

import pytest

from recost_collector import figures
from recost_collector.table import Column, draw

COLUMNS = [Column("NAME", is_text=True), Column("CALLS"), Column("SENT", spare_rank=2), Column("P50", spare_rank=1)]
ROWS = [["/v1/customers/{id}/invoices", "5", "1.0 kB", "10 ms"], ["TOTAL", "5", "1.0 kB", "10 ms"]]


def test_a_table_is_as_wide_as_its_cells_when_there_is_room():
    for width in (0, 49, 500):
        table = draw(COLUMNS, ROWS, width)

        assert table.lines == [
            "NAME                         CALLS    SENT    P50",
            "/v1/customers/{id}/invoices      5  1.0 kB  10 ms",
            "-" * 49,
            "TOTAL                            5  1.0 kB  10 ms",
        ]
        assert table.left_out == []


def test_texts_give_way_first_and_keep_both_ends():
    table = draw(COLUMNS, ROWS, 40)

    assert table.lines[1] == "/v1/custo…invoices      5  1.0 kB  10 ms"
    assert table.left_out == []


@pytest.mark.parametrize(("width", "left_out"), [(37, ["SENT"]), (29, ["SENT", "P50"]), (5, ["SENT", "P50"])])
def test_then_columns_go_the_most_dispensable_first(width: int, left_out: list[str]):
    table = draw(COLUMNS, ROWS, width)

    assert table.left_out == left_out
    assert width == 5 or max(map(len, table.lines)) <= width


@pytest.mark.parametrize(
    ("pico_usd", "shown"),
    [
        (0, "$0"),
        (1, "$0.0000000000010"),
        (8_400_000, "$0.0000084"),
        (10**8, "$0.00010"),
        (999_999_999, "$0.00100"),
        (10**9, "$0.0010"),
        (1_234_500_000_000, "$1.2345"),
        (9_876_543_210_000_000, "$9,876.5432"),
    ],
)
def test_no_amount_looks_like_nothing(pico_usd: int, shown: str):
    assert figures.money(pico_usd) == shown


def test_figures_are_short():
    assert [figures.latency(ms) for ms in (0.0, 9.94, 9.96, 999.4, 999.6, 61_234.0)] == [
        "0.0 ms", "9.9 ms", "10 ms", "999 ms", "1.00 s", "61.23 s",
    ]  # fmt: skip
    assert [figures.size(n) for n in (0, 999, 1000, 999_949, 999_951, 10**13, 10**19)] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "10.0 TB", "10,000.0 PB",
    ]  # fmt: skip
    assert [figures.percent(*of) for of in ((0, 0), (0, 9), (1, 10_000), (1, 3), (2, 2))] == [
        "0.0%", "0.0%", "<0.1%", "33.3%", "100.0%",
    ]  # fmt: skip
