"""Figures, times and names as people read them."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import msgspec

PICO_PER_USD = 10**12
LISTED = 5
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def as_json(found: object) -> str:
    """What ``--json`` prints."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def money(pico_usd: int) -> str:
    """Dollars with four decimals; a small amount has as many as it needs, so that it never looks like nothing."""
    usd = pico_usd / PICO_PER_USD
    if pico_usd == 0:
        return "$0"
    if usd >= 0.001:
        return f"${usd:,.4f}"
    return f"${usd:.{1 - math.floor(math.log10(usd))}f}"


def count(number: int) -> str:
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def agreed(number: int, noun: str, verb: str, verbs: str) -> str:
    """``1 file is``, ``2 files are``."""
    return f"{plural(number, noun)} {verb if number == 1 else verbs}"


def percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0.0
    return "<0.1%" if 0 < share < 0.05 else f"{share:.1f}%"


def latency(ms: float) -> str:
    if ms < 9.95:
        return f"{ms:.1f} ms"
    return f"{ms:.0f} ms" if ms < 999.5 else f"{ms / 1000:,.2f} s"


def ago(ms: int) -> str:
    """How long that is, in its largest unit: ``3 min``."""
    seconds = max(0, ms) // 1000
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def size(number: int) -> str:
    """Of bytes, in powers of 1000."""
    if number < 1000:
        return f"{number} B"
    value, unit = float(number), 0
    while value >= 999.95 and unit < len(_SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:,.1f} {_SIZES[unit]}"


def utc(moment: datetime) -> str:
    """As on the wire: ``2026-11-21T10:00:00.000Z``."""
    try:
        moment = moment.astimezone(timezone.utc)
    except OverflowError:  # within a day of the first or last date there is
        moment = moment.replace(tzinfo=timezone.utc)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def utc_seconds(moment: datetime) -> str:
    """To the second: ``2026-11-21 10:00:00``."""
    return utc(moment)[:19].replace("T", " ")


def listing(names: list[str]) -> str:
    """The first few by name, the rest by number."""
    shown = [printable(name) for name in names[:LISTED]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def printable(text: str) -> str:
    """``text`` without what a terminal would obey: a path comes from outside."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
