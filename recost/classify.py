"""From what an event says of its URL to the bucket it is counted in. Pure; the collector's."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Callable, NamedTuple

from recost.bucket import UNKNOWN_PROVIDER, pico_usd
from recost.calls import BucketKey
from recost.endpoint import normalize_path
from recost.providers import ProviderRegistry
from recost.session import ProviderDef

_REMEMBERED = 4096  # a path has at most 1024 characters, so this is some MB at worst


class Classified(NamedTuple):
    """Where a call is counted, and what it adds to the estimated cost."""

    key: BucketKey
    cost_pico_usd: int


class Classifier:
    """The rules of one session, applied. Threads may share it."""

    classify: Callable[[str, str, str], Classified]
    """(netloc, path, method) of an event. Remembers the last few thousand answers."""

    def __init__(self, custom_providers: Iterable[ProviderDef] = (), *, normalize_paths: bool = True) -> None:
        self._match = ProviderRegistry(custom_providers).match_once  # what it gives is remembered here
        self._normalize_paths = normalize_paths
        self.classify = lru_cache(maxsize=_REMEMBERED)(self._classify)

    def _classify(self, netloc: str, path: str, method: str) -> Classified:
        provider, endpoint, cents = self._match(netloc, path) or (UNKNOWN_PROVIDER, path, 0.0)
        if endpoint == path and self._normalize_paths:
            endpoint = normalize_path(path)
        return Classified((provider, endpoint, method), pico_usd(cents) if cents else 0)
