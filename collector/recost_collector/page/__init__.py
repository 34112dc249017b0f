"""``recost-collector report --html``: one page for a browser, complete in itself.

It loads nothing, from nowhere, and says so to the browser (a content security policy); what its script adds is comfort:
the charts and every figure behind them are there without it.
"""

from __future__ import annotations

from recost_collector.page.document import to_html

__all__ = ["to_html"]
