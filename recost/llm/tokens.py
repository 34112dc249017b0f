"""What one call used, and how a value from somebody else's object becomes a count. Pure.

A value that cannot be (negative, bool, NaN, text) counts as 0, one that is too large as the largest that can be; each
is counted as odd.  None and what is missing are 0 and nothing odd.
"""

from __future__ import annotations

import operator
from typing import Any, Optional

import msgspec

MAX_TOKENS = 100_000_000
"""More than this in one call is garbage; with it no price that is accepted overflows an int64 of pico-dollars."""

PICO = 1_000_000_000_000
"""Money is counted in pico-dollars: the cheapest token costs a few thousand."""

MAX_PICO = (1 << 63) - 1

Odd = list[Any]
"""The values of one usage that had to be corrected."""

Split = tuple[Any, Any, Any, Any]
"""As they were said: cached, cache_write, cache_write_1h, reasoning."""


class Usage(msgspec.Struct, gc=False):
    """What one call used. The parts it was made from are kept, so nothing has to be guessed later."""

    input: int = 0
    """All input tokens, those of the cache and of tool use included."""
    output: int = 0
    """All output tokens, reasoning included."""
    cached: int = 0
    """Of ``input``: read from a cache."""
    cache_write: int = 0
    """Of ``input``: written to a cache, for whatever time."""
    cache_write_1h: int = 0
    """Of ``cache_write``: kept for an hour."""
    reasoning: int = 0
    """Of ``output``."""
    odd: int = 0
    """Values that had to be corrected."""
    parts: Optional[dict[str, int]] = None
    """Tokens that some models price apart (``input_audio``, ``output_image`` …), and ``web_search``: how many."""
    tier: str = ""
    """``batch``, ``flex``, ``priority`` or ``fast``; empty: the usual one, or not said."""
    reported_pico: Optional[int] = None
    """What the response itself says that the call cost."""
    known: bool = True
    """False: nothing was said, so the zeros mean nothing."""

    @property
    def uncached(self) -> int:
        """Input that is billed in full."""
        return self.input - self.cached - self.cache_write

    def add_part(self, name: str, tokens: int, most: int) -> None:
        """Note ``tokens`` under ``name``, at most ``most``: a part is never more than its whole."""
        tokens = min(tokens, most)
        if tokens > 0:
            if self.parts is None:
                self.parts = {}
            self.parts[name] = self.parts.get(name, 0) + tokens


def count(value: Any, odd: Odd) -> int:
    """``value`` as a number of tokens."""
    if type(value) is int and 0 <= value <= MAX_TOKENS:  # type, not isinstance: a bool is no count
        return value
    if value is None:
        return 0
    return _correct(value, odd)


def _correct(value: Any, odd: Odd) -> int:
    number = _whole(value)
    if number is not None and 0 <= number <= MAX_TOKENS:
        return number
    odd.append(value)
    return MAX_TOKENS if number is not None and number > 0 else 0


def _whole(value: Any) -> Optional[int]:
    """numpy's integers and 12.0 are counts; a bool, a text, NaN and half a token are none."""
    if isinstance(value, bool):
        return None
    try:
        number: int = int(value) if isinstance(value, float) else operator.index(value)
    except (TypeError, ValueError, OverflowError):  # text; NaN; infinity
        return None
    return number if number == value or not isinstance(value, float) else None


def pico(dollars: Any, odd: Odd) -> Optional[int]:
    """US dollars in pico-dollars; None for what is no amount. A ``Decimal`` and numpy's numbers are amounts."""
    amount = _amount(dollars)
    if amount is not None and 0 <= amount < MAX_PICO / PICO:
        return round(amount * PICO)
    odd.append(dollars)
    return None


def _amount(dollars: Any) -> Optional[float]:
    if type(dollars) in {float, int}:
        amount: float = dollars
        return amount
    if isinstance(dollars, (bool, str, bytes, bytearray)):  # float() would read a text
        return None
    try:
        return float(dollars)
    except Exception:  # noqa: BLE001 - whatever a stranger's __float__ raises
        return None


def assemble(tokens_in: int, tokens_out: int, split: Split, odd: Odd) -> Usage:
    """Totals, and what is said of them. No part exceeds its whole."""
    cached, write, hour, reasoning = split
    cached = count(cached, odd) if cached else 0
    write = count(write, odd) if write else 0
    hour = count(hour, odd) if hour else 0
    reasoning = count(reasoning, odd) if reasoning else 0
    if cached + write > tokens_in or hour > write or reasoning > tokens_out:
        odd.append(split)
        cached = min(cached, tokens_in)
        write = min(write, tokens_in - cached)
        hour = min(hour, write)
        reasoning = min(reasoning, tokens_out)
    return Usage(tokens_in, tokens_out, cached, write, hour, reasoning, len(odd))
