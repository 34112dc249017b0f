"""Tells when a client has been imported, without importing it.

A finder that finds nothing itself: for the few names it watches it asks the finders after it, and has the loader that
they found tell when the module is there.  The module itself never sees a loader of ours: importlib's machinery works
with the stand-in between finding and executing, then the real loader is back in ``__spec__`` and ``__loader__``.

``recost-run`` executes this file by itself at the start of every interpreter: it imports nothing that costs time.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer than all of this file
    from collections.abc import Collection, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Callable, Optional


def is_under_way(name: str) -> bool:
    """Whether a thread imports ``name`` now. Before it is in ``sys.modules`` a new finder may come too late for it.

    importlib has no public word for it; the lock of a module is in this dictionary for as long as someone holds it.
    """
    return name in getattr(sys.modules["_frozen_importlib"], "_module_locks", ())


class Watch:
    """A finder for ``sys.meta_path`` that calls ``imported(name)`` after each import or reload of a watched module.

    The call comes in the importing thread, while it holds the module's import lock, and must not raise.
    """

    def __init__(self, names: Collection[str], imported: Callable[[str], object]) -> None:
        self._names = names
        self._imported = imported

    def start(self) -> None:
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Optional[Sequence[str]] = None, target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        if name not in self._names:
            return None
        spec = self._ask_the_others(name, path, target)
        if spec is not None and spec.loader is not None:
            # Any: to say Loader takes importlib.abc, which brings tempfile, zipfile and more along.
            stand_in: Any = _TellingLoader(spec.loader, self._imported, name)
            spec.loader = stand_in
        return spec

    def _ask_the_others(
        self, name: str, path: Optional[Sequence[str]], target: Optional[ModuleType]
    ) -> Optional[ModuleSpec]:
        finders: list[Any] = list(sys.meta_path)
        own_place = finders.index(self) if self in finders else -1  # gone: another thread has just stopped us
        for finder in finders[own_place + 1 :]:
            find = getattr(finder, "find_spec", None)  # without it, it is of the kind that Python 3.12 no longer asks
            spec: Optional[ModuleSpec] = None if find is None else find(name, path, target)
            if spec is not None:
                return spec
        return None


class _TellingLoader:
    """Stands in for a module's loader until the module is executed."""

    def __init__(self, loader: Any, imported: Callable[[str], object], name: str) -> None:
        self._loader = loader
        self._imported = imported
        self._name = name

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        create = getattr(self._loader, "create_module", None)
        return None if create is None else create(spec)

    def exec_module(self, module: ModuleType) -> None:
        for place, name in ((module.__spec__, "loader"), (module, "__loader__")):
            if getattr(place, name, None) is self:
                setattr(place, name, self._loader)
        execute = getattr(self._loader, "exec_module", None)
        if execute is not None:
            execute(module)
        else:  # zipimport has no other before 3.10; it fills the module that is in sys.modules
            self._loader.load_module(self._name)
        self._imported(self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
