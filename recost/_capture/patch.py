"""Puts a wrapper in front of a client's function and takes it away, among others who do the same.

Whoever patched before us stays below our wrapper, whoever patched after us keeps it in the chain.  So taking away is
only possible while our wrapper is on top; otherwise it stays where it is, switched off, and is switched on again
later instead of adding a second one.  A wrapper is kept also after it was taken away: a bound method that someone
holds on to (``send = client.send``) still goes through it, and must count again after the next ``install``.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from recost._capture.wrap import Client, Function, Switch

MAX_CHAIN = 64
"""How many patches on one function are looked through for ours."""


class Patch:
    """One wrapper in front of one function."""

    def __init__(self, owner: Any, name: str, client: Client, wrap: Any) -> None:
        self.owner = owner
        self.name = name
        self.switch = Switch()
        self.original = vars(owner)[name]
        # What another patcher left may be a descriptor that learns of its instance only when it is looked up.
        self.wrapper: Function = wrap(getattr(owner, name), client, self.switch)

    @property
    def current(self) -> Any:
        return vars(self.owner).get(self.name)

    def is_in_place(self) -> bool:
        function = self.current
        for _ in range(MAX_CHAIN):
            if function is None or function is self.wrapper:
                break
            function = getattr(function, "__wrapped__", None)
        return function is self.wrapper

    def apply(self) -> bool:
        """Capture from now on. False: someone else is in place now, who does not say whether we are below."""
        if self.current is self.original:
            setattr(self.owner, self.name, self.wrapper)
        elif not self.is_in_place() and not self.switch.on:
            return False
        self.switch.on = True
        return True

    def remove(self) -> None:
        """Capture no longer, and leave no trace unless someone else's patch is on top of ours."""
        self.switch.on = False
        if self.current is self.wrapper:
            setattr(self.owner, self.name, self.original)


class Patches:
    """All patches of this process. One thread at a time."""

    def __init__(self) -> None:
        self._by_function: dict[tuple[Any, str], Patch] = {}

    def apply(self, module: ModuleType, client: Client) -> None:
        """Wrap the functions that ``client`` names. Those that are wrapped already stay as they are."""
        for path, wrap in client.TARGETS:
            owner_name, _, name = path.partition(".")
            owner = getattr(module, owner_name)  # the same class may have two names: httpx2 can pose as httpx
            patch = self._by_function.get((owner, name))
            if patch is None or not patch.apply():
                patch = self._by_function[owner, name] = Patch(owner, name, client, wrap)
                patch.apply()

    def remove_all(self) -> None:
        for patch in self._by_function.values():
            patch.remove()
