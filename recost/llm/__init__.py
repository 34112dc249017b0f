"""LLM calls: what they used and what that cost, and the hooks that tell.

usage      a response's usage, whatever its shape  ->  Usage
aliases    whatever a library calls a provider     ->  its one name
table      a model's name  ->  its entry in prices.json
overrides  the same in the user's own prices
rates      an entry's prices and a Usage  ->  pico-dollars
quick      rates for the usual usage, without the detours
prices     all of it: ``estimate_cost``, ``set_prices``
track      a call that the program tells of

patching   hooks into an SDK, now or when it is imported
sdk        those in openai and anthropic; google has its own
calls      one call while it lasts, and the one event that it becomes
sellers    who is paid for it
streams    what sees the end of a stream
marks      which HTTP calls are part of it
call_tags  the tag that one call carries
"""

from __future__ import annotations
