"""The windows that are open, read from the spool: how many, and what their LLM calls have cost, by model and tag."""

from __future__ import annotations

import sqlite3

import msgspec

from recost.event import PICO_USD_PER_USD
from recost.windows import Window
from recost_collector.figures import money, plural, printable
from recost_collector.open_window import read_delta

MOST_LINES = 3
"""On a screen."""


class Spend(msgspec.Struct):
    """One model under one tag."""

    provider: str
    model: str
    tag: str
    calls: int
    unpriced: int
    """Of the calls: what they cost is not known."""
    cost_usd: float


def read_open_spend(db: sqlite3.Connection) -> list[Spend]:
    """Over all sessions, the dearest first. Raises what decoding does."""
    window = Window()
    for (body,) in db.execute("SELECT body FROM deltas ORDER BY session, number"):
        window.merge(read_delta(body))
    entries = window.summary("", "", "", start_ns=0, end_ns=0).llm_metrics
    spend = [Spend(e.provider, e.model, e.feature_tag, e.request_count, e.unpriced_count, e.cost_usd) for e in entries]
    return sorted(spend, key=lambda found: (-found.cost_usd, -found.calls))


def count_open_sessions(db: sqlite3.Connection) -> int:
    """Sessions with calls in their open window. Raises what decoding does.

    Estimates that are still to be taken off lie there, too, and nobody waits for them.
    """
    return len({name for name, body in db.execute("SELECT session, body FROM deltas") if read_delta(body).count})


def spend_text(spend: list[Spend]) -> list[str]:
    """A line for the total and one for each of the dearest; none without any call."""
    if not spend:
        return []
    calls, usd = sum(found.calls for found in spend), sum(found.cost_usd for found in spend)
    lines = [f"\nLLM, open windows  {_usd(usd)} for {plural(calls, 'call')}"]
    for found in spend[:MOST_LINES]:
        unpriced = f", {found.unpriced:,} unpriced" if found.unpriced else ""
        name = printable(f"{found.provider} {found.model} [{found.tag}]")
        lines.append(f"  {_usd(found.cost_usd):>15}  {name}  {plural(found.calls, 'call')}{unpriced}")
    if len(spend) > MOST_LINES:
        lines.append(f"  {'':>15}  and {len(spend) - MOST_LINES:,} more: --json has all")
    return lines


def _usd(amount: float) -> str:
    return money(round(amount * PICO_USD_PER_USD))
