"""LLM calls: what they used and what that cost.

usage      a response's usage, whatever its shape  ->  Usage
aliases    whatever a library calls a provider     ->  its one name
table      a model's name  ->  its entry in prices.json
overrides  the same in the user's own prices
rates      an entry's prices and a Usage  ->  pico-dollars
prices     all of it: ``estimate_cost``, ``set_prices``
"""

from __future__ import annotations
