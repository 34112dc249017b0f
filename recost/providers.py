"""Which provider a call belongs to, and what such a call costs on average. Pure; the rules are data in ``_rules``.

Rules are tried in order and the first that matches wins: custom ones, then the contract's, and before the
contract's two wildcard clouds the further ones.  What one URL gave is remembered: the collector asks for each event.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Callable, NamedTuple, Optional

from recost import _rules
from recost.event import host_of
from recost.hosts import ascii_host
from recost.session import ProviderDef

__all__ = ["BUILTIN_PROVIDERS", "MatchResult", "ProviderDef", "ProviderRegistry"]

BUILTIN_PROVIDERS = _rules.CONTRACT
"""The rules that all SDKs have, in the order and with the numbers that all have."""

_REMEMBERED_HOSTS = 1024
_REMEMBERED_URLS = 4096  # a path has at most 1024 characters, so this is some MB at worst

Rules = list[ProviderDef]


class MatchResult(NamedTuple):
    """What the rules say of a URL."""

    provider: str
    endpoint_category: str
    """The path, where the rule names no category."""
    cost_per_request_cents: float
    """US cents, a rough average; 0 where there is none."""


class _Tried(NamedTuple):
    """A rule made ready for comparing."""

    rule: ProviderDef
    host: str
    """Lower case, without port and trailing dot. With a ``*`` when ``is_pattern``."""
    is_pattern: bool
    refinements: tuple[_rules.Refinement, ...] = ()


class ProviderRegistry:
    """The rules, in the order in which they are tried. Threads may share it."""

    match_parts: Callable[[str, str], Optional[MatchResult]]
    """``match`` for a URL that is already apart: host (perhaps with a port) and path."""

    def __init__(self, custom_providers: Optional[Iterable[ProviderDef]] = None) -> None:
        self._tried = [*map(_prepare_custom, custom_providers or ()), *map(_prepare_builtin, _in_order())]
        self._of_host = lru_cache(maxsize=_REMEMBERED_HOSTS)(self._find_rules)
        self.match_parts = lru_cache(maxsize=_REMEMBERED_URLS)(self.match_once)

    def match(self, url: str) -> Optional[MatchResult]:
        """What the first rule that fits says; None when none fits, and for what is no URL."""
        return self.match_parts(*_split(url))

    def list(self) -> Rules:
        """All rules, in the order in which they are tried."""
        return [tried.rule for tried in self._tried]

    def match_once(self, netloc: str, path: str) -> Optional[MatchResult]:
        """``match_parts`` for who remembers what it gives."""
        for tried in self._of_host(netloc):
            if path.startswith(tried.rule.path_prefix or ""):
                return _result(tried, path)
        return None

    def _find_rules(self, netloc: str) -> tuple[_Tried, ...]:
        host = ascii_host(host_of(netloc).lower())
        return tuple(tried for tried in self._tried if _fits(tried, host))


def _split(url: str) -> tuple[str, str]:
    """Host, perhaps with a port, and path. By hand: whatever comes, it must not raise, and workers import this."""
    bare = url.partition("#")[0].partition("?")[0]
    scheme, _, rest = bare.partition("://")
    netloc, _, path = (bare if "/" in scheme else rest or bare).partition("/")
    return netloc.rpartition("@")[2], f"/{path}"


def _in_order() -> Rules:
    """The contract's rules with the further ones before the clouds: the rest of the contract names exact hosts."""
    first_cloud = next(i for i, rule in enumerate(_rules.CONTRACT) if rule.provider in _rules.CLOUDS)
    return [*_rules.CONTRACT[:first_cloud], *_rules.FURTHER, *_rules.CONTRACT[first_cloud:]]


def _prepare_custom(rule: ProviderDef) -> _Tried:
    """``*.`` in front is a pattern; a star anywhere else is a character that no host has."""
    bare = rule.host_pattern.count(":") > 1 and not rule.host_pattern.startswith("[")  # IPv6 without brackets
    host = ascii_host((rule.host_pattern if bare else host_of(rule.host_pattern)).lower())
    return _Tried(rule, host, host.startswith("*."))


def _prepare_builtin(rule: ProviderDef) -> _Tried:
    refinements = () if rule.path_prefix else _rules.REFINEMENTS.get(rule.host_pattern, ())
    return _Tried(rule, rule.host_pattern, "*" in rule.host_pattern, refinements)


def _fits(tried: _Tried, host: str) -> bool:
    if not tried.is_pattern:
        return host == tried.host
    start, _, end = tried.host.partition("*")
    return len(host) >= len(tried.host) and host.startswith(start) and host.endswith(end)


def _result(tried: _Tried, path: str) -> MatchResult:
    rule = tried.rule
    for refinement in tried.refinements:
        if refinement.part in path:
            return MatchResult(rule.provider, refinement.category, refinement.cents or 0.0)
    return MatchResult(rule.provider, rule.endpoint_category or path, rule.cost_per_request_cents or 0.0)
