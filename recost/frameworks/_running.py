"""The request or task that runs here, for as long as it does: its origin, and then again that of what it ran within."""

from __future__ import annotations

from typing import Optional

from recost.tags import Origin, origin


class Running:
    """Runs from now on, in this context. ``tell`` names it when a call is captured."""

    __slots__ = ("_tell", "before", "is_over")

    def __init__(self, tell: Origin, *, is_within: bool = True) -> None:
        """``is_within`` False: whatever else seems to run here was left behind."""
        before = origin.get() if is_within else None
        self.is_over = False
        self.before = None if isinstance(before, Running) and before.is_over else before
        self._tell = tell
        origin.set(self)

    def __call__(self) -> Optional[str]:
        """Also when it is over: a task that it has started goes on for it."""
        return self._tell()

    def end(self) -> None:
        """With all that began within. Idempotent. Any context may call; its own goes on with what was before."""
        self.is_over = True
        running = origin.get()
        while isinstance(running, Running) and running is not self:
            running = running.before
        if running is self:
            origin.set(self.before)


def end_here() -> None:
    """End what runs here, if an integration has said what that is."""
    running = origin.get()
    if isinstance(running, Running):
        running.end()
