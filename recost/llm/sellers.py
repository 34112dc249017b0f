"""Who is paid for what is sent to a place: by the rules, the user's own first; this machine is nobody.

State: ``_current``, for the rules that count; replaced as a whole where others do.  Two threads may both build it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Callable, Optional

from recost.event import MAX_NAME, host_of
from recost.hosts import is_loopback
from recost.llm.aliases import SELF_HOSTED, canonical
from recost.providers import ProviderRegistry
from recost.session import ProviderDef

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - compared with, never bound: who connects to it, connects to this machine
_REMEMBERED = 256


class Sellers:
    """By one user's rules. Threads may share it."""

    of: Callable[[str, str], str]
    """The provider's one name, for a host (perhaps with a port) and a path; without a rule the host's own name."""

    def __init__(self, custom: Sequence[ProviderDef]) -> None:
        self.custom = custom
        self._match = ProviderRegistry(custom).match_parts
        self.of = lru_cache(maxsize=_REMEMBERED)(self._find)

    def _find(self, netloc: str, path: str) -> str:
        found = self._match(netloc, path)
        if found is not None:
            return canonical(found.provider)
        host = host_of(netloc)
        return SELF_HOSTED if host == ANY_ADDRESS or is_loopback(host) else host[:MAX_NAME] or SELF_HOSTED


def sellers_by(custom: Sequence[ProviderDef]) -> Sellers:
    """Those of the settings that ``custom`` is from."""
    global _current  # noqa: PLW0603 - one for the settings of the process
    found = _current
    if found is None or found.custom is not custom:
        found = _current = Sellers(custom)
    return found


_current: Optional[Sellers] = None
