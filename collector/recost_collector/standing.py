"""How we stand with a destination: 401s in a row, suspension, Retry-After, and whether it is given up. Pure.

All but the last belongs to a key and is in the ``KeyState`` that the spool keeps, so a new key starts with a clean
record and a new collector knows of the old one's.  ``wall_ms`` is ms since the epoch.
"""

from __future__ import annotations

from typing import Optional

import msgspec

from recost.notice import Notice
from recost_collector.changes import KeyState

INIT_MS = 60_000
"""What an ``init()`` permits, a probe of a suspended key and another try of parked frames, happens no more than once
in this time: a server with forty workers has forty of them."""
MAX_KEYS = 16
"""Old keys of one destination that are remembered."""


class Standing:
    """The keys of one destination. The one in use is that of the worker who registered last."""

    def __init__(self, keys: dict[str, KeyState], *, needs_key: bool) -> None:
        self.api_key = ""
        self.key_id = ""
        self._keys = keys
        self._needs_key = needs_key
        self._sent_with = ""
        """Id of the key that the frame under way went out with."""
        self._init_seen = False
        self._may_probe = False
        self._limit: Optional[Notice] = None
        """The 429 whose Retry-After is in force."""
        self._given_up: Optional[Notice] = None
        """Why nothing is tried until the next ``init()``."""

    @property
    def state(self) -> KeyState:
        """Of the key in use."""
        return self._state_of(self.key_id)

    @property
    def is_refused(self) -> bool:
        """True when waiting does not help: it is given up, there is no key, or the one in use is suspended."""
        return self._given_up is not None or (self._needs_key and not self.api_key) or self.state.suspended

    @property
    def was_replaced(self) -> bool:
        """True when the frame under way went out with a key that is not the one in use any more."""
        return self._sent_with != self.key_id

    def resume(self, api_key: str, key_id: str) -> None:
        """Go on with the key that an earlier collector knew; empty: with none, until somebody brings one."""
        self.api_key, self.key_id = api_key, key_id
        self._may_probe = False
        self._limit = None

    def use(self, api_key: str, key_id: str, *, is_init: bool) -> bool:
        """A worker brings this key; ``is_init``: it has just started. True when it is to be tried at once."""
        self._init_seen = self._init_seen or is_init
        if is_init and self._given_up is not None:
            self._given_up = None
            return True
        if key_id == self.key_id:
            return False
        self.resume(api_key, key_id)
        self._forget_old_keys()
        return True

    def is_blocked(self, wall_ms: int) -> bool:
        """Nothing may be sent, whoever asks: given up, no key, suspended, or within a Retry-After."""
        is_waiting = 0 < self.state.wait_until_ms - wall_ms <= self.state.wait_ms
        return is_waiting or (self.is_refused and not self._may_probe)

    def is_in_trouble(self, wall_ms: int) -> bool:
        """True while some key here is suspended or has to wait."""
        return any(key.suspended or key.wait_until_ms > wall_ms for key in self._keys.values())

    def explain_block(self, wall_ms: int) -> tuple[Notice, ...]:
        """What a worker hears whose window meets the block and who has not heard of its cause."""
        if self._given_up is not None:
            return (self._given_up,)
        if self.state.suspended:
            return (Notice("suspended", status=401, count=self.state.auth_failures),)
        if self._limit is not None:
            return (msgspec.structs.replace(self._limit, retry_after_ms=self.state.wait_until_ms - wall_ms),)
        return ()

    def why_blocked(self, wall_ms: int) -> str:
        """For people: why nothing is sent now; empty when it may be."""
        if not self.is_blocked(wall_ms):
            return ""
        if self._given_up is not None:
            return self._given_up.message
        if self._needs_key and not self.api_key:
            return "no key is known for it: the next worker of the project brings one"
        if self.state.suspended:
            refused = f"suspended, the key was refused (401, {self.state.auth_failures} in a row)"
            return f"{refused}: set a valid api_key (RECOST_API_KEY), the next init() with it resumes"
        return f"it asked to wait another {(self.state.wait_until_ms - wall_ms + 999) // 1000} s (Retry-After)"

    def sends(self, wall_ms: int) -> bool:
        """A frame goes out with the key in use. True when it is the probe of a suspended one."""
        self._sent_with = self.key_id
        if self.state.suspended:
            self.state.probed_at_ms = wall_ms
        return self.state.suspended

    def concluded(self) -> None:
        """The frame under way has an outcome."""
        self._limit = None
        if not self.was_replaced:
            self._may_probe = False

    def refused(self, answer: Notice, limit: int) -> tuple[Notice, ...]:
        """401: count it; at ``limit`` in a row the key is suspended. Returns what workers hear."""
        key = self._state_of(self._sent_with)
        key.auth_failures += 1
        heard = msgspec.structs.replace(answer, count=key.auth_failures)
        if key.suspended or key.auth_failures < limit:
            return (heard,)
        key.suspended = True
        return (heard, Notice("suspended", status=answer.status, count=key.auth_failures))

    def not_refused(self) -> None:
        """Any other outcome, a failure of the network too."""
        key = self._state_of(self._sent_with)
        key.auth_failures = 0
        key.suspended = False

    def give_up(self, why: Notice) -> None:
        """Until the next ``init()``: what comes meanwhile hears ``why``."""
        self._given_up = why

    def wait(self, after_s: float, wall_ms: int, limit: Optional[Notice]) -> None:
        """Retry-After; ``limit`` is the 429 if it was one."""
        state, after_ms = self._state_of(self._sent_with), int(after_s * 1000)
        state.wait_until_ms, state.wait_ms = wall_ms + after_ms, after_ms
        self._limit = limit

    def follow_init(self, wall_ms: int) -> bool:
        """True when there was an ``init()`` and the time has come to do what it permits. A probe is permitted then."""
        if not self._init_seen or 0 <= wall_ms - self.state.probed_at_ms < INIT_MS:
            return False
        self._init_seen = False
        self._may_probe = bool(self.api_key) and self.state.suspended
        return True

    def _state_of(self, key_id: str) -> KeyState:
        return self._keys.setdefault(key_id, KeyState())

    def _forget_old_keys(self) -> None:
        old = [name for name in self._keys if name not in (self.key_id, self._sent_with)]
        clean = [name for name in old if self._keys[name] == KeyState()]
        for name in {*clean, *old[:-MAX_KEYS]}:
            del self._keys[name]
