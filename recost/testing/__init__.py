"""The outbound calls of a test, in this process, to assert on. Nothing is delivered anywhere and nothing started.

    with recost.testing.capture() as calls:
        checkout(cart)
    assert calls.hosts == {"api.stripe.com"}
    calls.check(max_calls=3, max_cost_cents=0.5)

The pytest plugin that comes with recost has the same as a marker and a fixture.
"""

from __future__ import annotations

from recost.testing.budget import Budget
from recost.testing.call import Call
from recost.testing.calls import Calls
from recost.testing.capturing import Options, capture

__all__ = ["Budget", "Call", "Calls", "Options", "capture"]
