"""A frame of ``recost-collector top``, for terminals that are narrow."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from recost_collector.live import Row, Watched
from recost_collector.status import RingStatus, nothing
from recost_collector.top_look import Look
from recost_collector.top_screen import frame

USD = 10**12
ROWS = [
    Row(("openai", "chat_completions"), 123456, 12, 1234 * USD, 60, 1, USD // 3, 812, 2300),
    Row(("unknown", "/v1/customers/[id]/orders/and/more"), 30, 0, 0, 6, 0, 0, 31, 12345.0),
]


def drawn(width: int, rows: list[Row]) -> list[str]:
    total = Row(("",), 123486, 12, 1234 * USD, 66, 1, USD // 3, 800, 2300)
    status = nothing("/run/recost")
    status.leading = True
    status.rings = [RingStatus("ring-1", 1234567, False, "shop", "production", "", "0.1", 123456, 5, 1 << 20, 3, 0)]
    seen = Look(0.0, status, Watched(0, 60.0, total, {"endpoint": rows}))
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(frame(seen, None, 0, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (40, "ENDPOINT CALLS COST"),
        (60, "ENDPOINT CALLS/S ERR % CALLS COST"),
        (80, "PROVIDER ENDPOINT CALLS/S ERR % P95 CALLS COST"),
        (120, "PROVIDER ENDPOINT CALLS/S ERR % P50 P95 COST/S CALLS ERRORS COST"),
    ],
)
def test_name_calls_and_cost_stay_however_narrow_it_is(width: int, titles: str) -> None:
    lines = drawn(width, ROWS)

    assert max(map(len, lines)) <= width
    (head,) = [line for line in lines if "ENDPOINT" in line]
    assert " ".join(head.split()) == titles
    (chat,) = [line for line in lines if line.startswith("openai")]
    assert re.match(r"openai +c.*…?.*ons ", chat)
    assert chat.endswith("$1,234.0000")
    assert " 123,456 " in chat
    (worker,) = [line for line in lines if "1234567" in line]
    assert "1234567 (gone)" in worker
    assert "shop / p" in worker


def test_a_path_is_shown_as_it_is() -> None:
    """Not taken for markup."""
    assert any("/v1/customers/[id]/orders" in line for line in drawn(140, ROWS))
