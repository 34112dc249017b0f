"""One call, as a test sees it."""

from __future__ import annotations

from typing import NamedTuple

from recost.bucket import PICO_USD_PER_CENT


class Call(NamedTuple):
    """One finished call. What recost never records is not here either: headers, bodies, query."""

    method: str
    url: str
    """Without query, fragment and user-info."""
    host: str
    """Lower case, without port."""
    path: str
    status_code: int
    """0 when no response came."""
    error: bool
    """No response, or a status of 400 or more."""
    latency_ms: float
    request_bytes: int
    response_bytes: int
    provider: str
    """``unknown`` for a host that no rule names."""
    endpoint: str
    """The provider's category; the path, with ``{id}`` for ids, where it has none."""
    cost_pico_usd: int
    """The estimate, in a unit in which sums have no rounding: 10**10 are a cent."""

    @property
    def cost_cents(self) -> float:
        """By the rule of the provider: a rough average, for comparison."""
        return self.cost_pico_usd / PICO_USD_PER_CENT
