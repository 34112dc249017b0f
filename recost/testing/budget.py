"""What a test may call and spend. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Optional

from recost.bucket import pico_usd
from recost.hosts import normal_host
from recost.testing.call import Call
from recost.testing.table import format_cents

LIMITS = ("max_calls", "max_cost_cents", "allow", "forbid")
MAX_CENTS = 100_000_000


class Excess(NamedTuple):
    """What is over a budget, in words, and at which places the calls are."""

    reasons: list[str]
    places: set[int]


class Budget(NamedTuple):
    """Limits; None is no limit."""

    max_calls: Optional[int] = None
    max_cost_cents: Optional[float] = None
    allow: Optional[tuple[str, ...]] = None
    """No other hosts: exact names, or ``*.example.com`` for any below it."""
    forbid: Optional[tuple[str, ...]] = None
    """Not these hosts."""

    @classmethod
    def of(cls, limits: Mapping[str, object]) -> Budget:
        """``ValueError`` that says what a limit must be. Names beyond ``LIMITS`` are the caller's business."""
        calls, cents, allow, forbid = (limits.get(name) for name in LIMITS)
        return cls(_whole(calls), _amount(cents), _hosts("allow", allow), _hosts("forbid", forbid))

    def excess(self, calls: Sequence[Call]) -> Excess:
        """What of ``calls`` is too much; no reasons when all is within."""
        found = Excess([], set())
        if self.max_calls is not None and len(calls) > self.max_calls:
            _note(
                found,
                f"{len(calls)} call{'s' * (len(calls) != 1)}, max_calls={self.max_calls}",
                range(self.max_calls, len(calls)),
            )
        if self.max_cost_cents is not None:
            self._look_at_cost(calls, found)
        if self.forbid is not None:
            _note_hosts(found, calls, [place for place, call in enumerate(calls) if _fits(call, self.forbid)], "forbid")
        if self.allow is not None:
            others = [place for place, call in enumerate(calls) if not _fits(call, self.allow)]
            _note_hosts(found, calls, others, f"not in allow={list(self.allow)}:")
        return found

    def _look_at_cost(self, calls: Sequence[Call], found: Excess) -> None:
        limit, total, over = pico_usd(self.max_cost_cents or 0), 0, []
        for place, call in enumerate(calls):
            total += call.cost_pico_usd
            if call.cost_pico_usd and total > limit:
                over.append(place)
        if over:
            _note(found, f"{format_cents(total)} cents, max_cost_cents={self.max_cost_cents:g}", over)


def _note(found: Excess, reason: str, places: Iterable[int]) -> None:
    found.reasons.append(reason)
    found.places.update(places)


def _note_hosts(found: Excess, calls: Sequence[Call], places: list[int], reason: str) -> None:
    if places:
        hosts = sorted({calls[place].host for place in places})
        _note(found, f"{reason} {', '.join(hosts)}", places)


def _fits(call: Call, patterns: tuple[str, ...]) -> bool:
    return any(call.host == p or (p.startswith("*.") and call.host.endswith(p[1:])) for p in patterns)


def _whole(value: object) -> Optional[int]:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise _wrong("max_calls", value, "a whole number, 0 or more")


def _amount(value: object) -> Optional[float]:
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MAX_CENTS:
        return value  # not NaN: no comparison holds for it
    raise _wrong("max_cost_cents", value, f"US cents, a number from 0 to {MAX_CENTS}")


def _hosts(name: str, value: object) -> Optional[tuple[str, ...]]:
    if value is None:
        return None
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise _wrong(name, value, f"a list of host names, as in {name}=['api.openai.com']")
    return tuple(_host(name, item) for item in value)


def _host(name: str, value: object) -> str:
    wildcard = isinstance(value, str) and value.startswith("*.")
    host = normal_host(value[2:] if wildcard else value) if isinstance(value, str) else ""
    if not host:
        raise _wrong(name, value, "host names without scheme, port and path, or '*.example.com'")
    return "*." * wildcard + host


def _wrong(name: str, value: object, want: str) -> ValueError:
    return ValueError(f"{name}={value!r}: want {want}")
