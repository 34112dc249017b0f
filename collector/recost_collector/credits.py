"""Estimates that are still to be taken off: for calls that were tracked by hand before any of their provider was seen.

A program that tracks a call tells its true cost; the HTTP call under it, when one is captured, must not add an
estimate.  Usually it is in the open window already.  Otherwise the next call of that provider goes without, if it
ends within five minutes.  Times are those of the events, so nothing here reads a clock.  Pure.
"""

from __future__ import annotations

VALID_NS = 300_000_000_000
MAX_PROVIDERS = 64
"""With credits at the same time; more are made up."""
MAX_CREDITS = 10_000
"""Of one provider."""

_NS_PER_S = 1_000_000_000
Held = list[tuple[str, int, int]]
"""(provider, second after which it is void, how many)"""


class Credits:
    """Of one session."""

    def __init__(self) -> None:
        self._by_provider: dict[str, dict[int, int]] = {}
        self.is_changed = False
        """Since ``committed``."""

    def __bool__(self) -> bool:
        return bool(self._by_provider)

    def add(self, provider: str, at_ns: int) -> None:
        """One more, for a call tracked at ``at_ns``."""
        self._forget_void(at_ns)
        held = self._by_provider.get(provider)
        if held is None:
            if len(self._by_provider) >= MAX_PROVIDERS:
                return
            held = self._by_provider[provider] = {}
        if sum(held.values()) < MAX_CREDITS:
            until_s = (at_ns + VALID_NS) // _NS_PER_S
            held[until_s] = held.get(until_s, 0) + 1
            self.is_changed = True

    def take(self, provider: str, at_ns: int) -> bool:
        """Use one up, the oldest that counts at ``at_ns``. False: there is none."""
        held = self._by_provider.get(provider)
        until_s = min((each for each in held or () if each * _NS_PER_S >= at_ns), default=None)
        if held is None or until_s is None:
            return False
        held[until_s] -= 1
        if not held[until_s]:
            del held[until_s]
        if not held:
            del self._by_provider[provider]
        self.is_changed = True
        return True

    def are_void(self, at_ns: int) -> bool:
        return all(until_s * _NS_PER_S < at_ns for held in self._by_provider.values() for until_s in held)

    def to_data(self) -> Held:
        return [(provider, until_s, n) for provider, held in self._by_provider.items() for until_s, n in held.items()]

    def merge(self, data: Held) -> None:
        """What ``to_data`` of others gave, on top."""
        for provider, until_s, number in data:
            held = self._by_provider.setdefault(provider, {})
            held[until_s] = held.get(until_s, 0) + number
            self.is_changed = True

    def replace(self, data: Held) -> None:
        """With what ``to_data`` gave."""
        self._by_provider = {}
        for provider, until_s, number in data:
            self._by_provider.setdefault(provider, {})[until_s] = number

    def committed(self) -> None:
        self.is_changed = False

    def _forget_void(self, at_ns: int) -> None:
        oldest_s = at_ns // _NS_PER_S
        left = {
            provider: {until_s: n for until_s, n in held.items() if until_s >= oldest_s}
            for provider, held in self._by_provider.items()
        }
        self._by_provider = {provider: held for provider, held in left.items() if held}
