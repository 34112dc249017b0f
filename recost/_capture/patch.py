"""Puts a wrapper in front of a client's function and takes it away, among others who do the same.

Whoever patched before us stays below our wrapper, whoever patched after us keeps it in the chain.  So taking away is
only possible while our wrapper is on top; otherwise it stays where it is, switched off, and is switched on again
later instead of adding a second one.  A wrapper is also kept after it was taken away: a bound method that someone
holds on to (``send = client.send``) still goes through it, and must count again after the next ``install``.
"""

from __future__ import annotations

from operator import attrgetter
from types import ModuleType
from typing import Any, Optional

from recost._capture.wrap import Client, Function, Switch, Wrap

MAX_CHAIN = 64
"""How many patches on one function are looked through for ours."""

MAX_KEPT = 8
"""Wrappers kept for one function. A new one is needed only on top of a patch that is new; forgotten ones stay off."""


class Patch:
    """One wrapper, and what was there when it was made."""

    def __init__(self, owner: Any, name: str, client: Client, wrap: Wrap) -> None:
        self.original = vars(owner)[name]
        self.switch = Switch()
        # What another patcher left may be a descriptor that learns of its instance only when it is looked up.
        self.wrapper: Function = wrap(getattr(owner, name), client, self.switch)

    def is_below(self, function: Any) -> bool:
        for _ in range(MAX_CHAIN):
            if function is None or function is self.wrapper:
                break
            function = getattr(function, "__wrapped__", None)
        return function is self.wrapper


class Place:
    """One function of a client, and our wrappers for it. At most one of them is switched on."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._name = name
        self._patches: list[Patch] = []

    @property
    def current(self) -> Any:
        return vars(self._owner).get(self._name)

    def capture(self, client: Client, wrap: Wrap) -> None:
        chosen = self._choose()
        if chosen is None:
            chosen = Patch(self._owner, self._name, client, wrap)
            self._patches = [*self._patches[1 - MAX_KEPT :], chosen]
        if self.current is chosen.original:
            setattr(self._owner, self._name, chosen.wrapper)
        for patch in self._patches:
            patch.switch.on = patch is chosen

    def release(self) -> None:
        for patch in self._patches[::-1]:
            patch.switch.on = False
            if self.current is patch.wrapper:
                setattr(self._owner, self._name, patch.original)

    def _choose(self) -> Optional[Patch]:
        """The wrapper that is in the chain; else one that fits on top; else the one that is on.

        The last is below someone who does not say what he wrapped: to add another would count twice.
        """
        current = self.current
        for patch in self._patches:
            if patch.is_below(current):
                return patch
        fitting = [patch for patch in self._patches if patch.original is current]
        switched_on = [patch for patch in self._patches if patch.switch.on]
        return next(iter(fitting + switched_on), None)


class Patches:
    """All patches of this process. One thread at a time."""

    def __init__(self) -> None:
        self._places: dict[tuple[Any, str], Place] = {}

    def apply(self, module: ModuleType, client: Client) -> None:
        """Wrap the functions that ``client`` names. Those that are wrapped already stay as they are."""
        for path, wrap in client.TARGETS:
            owner_path, _, name = path.rpartition(".")
            owner = attrgetter(owner_path)(module)  # the same class may have two names: httpx2 can pose as httpx
            self._places.setdefault((owner, name), Place(owner, name)).capture(client, wrap)

    def remove_all(self) -> None:
        """Capture no longer, and leave no trace unless someone else's patch is on top of ours."""
        for place in self._places.values():
            place.release()
