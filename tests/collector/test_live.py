"""What ``top`` is told: sums since the start, and a minute that slides, kept only while somebody looks."""

from __future__ import annotations

from recost.event import CallEvent
from recost.windows import Window
from recost_collector import live
from recost_collector.live import Live

MS = 1_000_000


def delta(*endpoints: str, ms: int = 10, cost: int = 0, tag: str = "") -> Window:
    """What one commit adds: a call of each."""
    window = Window()
    for endpoint in endpoints:
        event = CallEvent(0, ms * MS, "GET", "https", "h", "/", 500, 0, 0, tag=tag)
        window.add(("p", endpoint, "GET"), event, cost)
    return window


def test_sums_are_of_all_calls_and_the_rest_is_of_the_last_minute() -> None:
    account = Live()
    account.add(delta("/before", cost=7))
    first = account.look(100.0)
    for second in range(100, 200, 5):
        account.look(float(second))
        account.add(delta("/a", ms=second, cost=1, tag="checkout"))
    found = account.look(200.0)

    assert (first.total.calls, first.total.recent_calls, first.span_s) == (1, 0, 0.0)
    assert (found.total.calls, found.total.errors, found.total.cost) == (21, 21, 27)
    assert 60 <= found.span_s <= 75
    assert found.total.recent_calls == found.total.recent_cost == found.span_s // 5
    (tag,) = found.views["tag"]
    assert (tag.names, tag.calls, tag.recent_calls) == (("checkout",), 20, found.total.recent_calls)
    assert 200 - found.span_s <= tag.p50_ms <= tag.p95_ms <= 195
    assert [row.names for row in found.views["endpoint"]] == [("p", "/a"), ("p", "/before")]


def test_what_nobody_looks_at_any_more_is_forgotten() -> None:
    account = Live()
    account.look(0.0)
    account.add(delta("/a"))
    account.tick(live.FORGET_S)
    assert account.look(live.FORGET_S).total.recent_calls == 1

    account.tick(2 * live.FORGET_S + 1)
    account.add(delta("/a"))
    found = account.look(1000.0)

    assert (found.total.calls, found.total.recent_calls, found.span_s) == (2, 0, 0.0)


def test_rows_beyond_the_bound_are_counted_together() -> None:
    account = Live()
    account.look(0.0)
    account.add(delta(*(f"/{number}" for number in range(live.MAX_ROWS + 50))))
    found = account.look(1.0)

    assert found.total.calls == found.total.recent_calls == live.MAX_ROWS + 50
    assert len(found.views["endpoint"]) == live.MAX_TOLD
    assert [row.calls for row in found.views["endpoint"] if row.names == ("other", "other")] == [50]
