"""Which calls never enter the ring: recost's own traffic, loopback in local mode, and what the user excludes."""

from __future__ import annotations

import logging

from recost.config import RecostConfig
from recost.event import CallEvent, host_of
from recost.hosts import split_base_url

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SAME_HOST = frozenset({"localhost", "127.0.0.1"})
"""They stand for each other."""
CACHED_HOSTS = 4096

logger = logging.getLogger("recost")


class Exclusions:
    """``exclusions(event)`` is True for a call to leave out. Decides by host once and remembers it."""

    def __init__(self, settings: RecostConfig) -> None:
        self._hosts = frozenset(host.lower() for host in settings.exclude_hosts)
        self._patterns = tuple(settings.exclude_patterns)
        self._of_hosts = tuple(pattern.lower() for pattern in self._patterns)
        self._local_port = f":{settings.local_port}"
        self._local = settings.mode == "local"
        self._loopback = settings.exclude_loopback
        own = None if self._local else split_base_url(settings.base_url)
        self._own_hosts: frozenset[str] = frozenset()
        if own is not None:
            self._own_hosts = SAME_HOST if own.host in SAME_HOST else frozenset({own.host})
        self._by_netloc: dict[str, bool] = {}
        self.let_in: set[str] = set()
        """Of which nothing is left out, whatever the rest of the URL: the event path need not ask."""
        self._told = False

    def __call__(self, event: CallEvent) -> bool:
        excluded = self._by_netloc.get(event.netloc)
        if excluded is None:
            excluded = self._decide(event.netloc)
        return excluded or (bool(self._patterns) and self._matches_pattern(event))

    def _decide(self, netloc: str) -> bool:
        host = host_of(netloc)
        excluded = host in self._own_hosts or host in self._hosts
        if not excluded and self._local and self._loopback and self._is_loopback(host, netloc):
            self._tell_once(netloc)
            excluded = True
        if len(self._by_netloc) >= CACHED_HOSTS:
            self._by_netloc.clear()
            self.let_in.clear()
        self._by_netloc[netloc] = excluded
        if not excluded and not self._patterns:
            self.let_in.add(netloc)
        return excluded

    def _is_loopback(self, host: str, netloc: str) -> bool:
        return host in LOOPBACK or netloc.endswith(self._local_port)

    def _matches_pattern(self, event: CallEvent) -> bool:
        url = f"{event.scheme}://{event.netloc}{event.path}"
        # A path has its case; a host has none, so calls have it in small letters however the pattern is written.
        return any(pattern in url for pattern in self._patterns) or any(host in event.netloc for host in self._of_hosts)

    def _tell_once(self, netloc: str) -> None:
        if not self._told:
            self._told = True
            logger.info(
                "calls to this machine are left out in local mode: host=%s (exclude_loopback=False captures them)",
                netloc,
            )
