"""The way to destinations: proxies, CA bundle, and whether anybody answers. Sends no key and no window."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator
from typing import Optional
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import urllib3

from recost.config import RecostConfig
from recost.hosts import is_loopback
from recost.session import Destination
from recost_collector.checks import Check, fail, ok, warn
from recost_collector.exporters.pool import Unusable, open_pool, proxy_for
from recost_collector.network_words import in_words

UNREACHABLE = 4
MOST_URLS = 16


def targets(config: Optional[RecostConfig], urls: list[str]) -> list[Destination]:
    """A destination for each place that is in use, or would be, as this environment reaches it; files need no way."""
    proxies = tuple(sorted(getproxies_environment().items()))
    cloud = [config.base_url] if config is not None and config.enabled and config.api_key is not None else []
    places = dict.fromkeys(_origin(url) for url in (*cloud, *urls) if not url.startswith("file:"))
    return [Destination(place, proxies=proxies) for place in places][:MOST_URLS]


def check(found: list[Destination], timeout_s: float) -> Iterator[Check]:
    """``timeout_s`` 0: asks nobody."""
    for destination in found:
        if destination.url.startswith("ws:"):
            if timeout_s:
                yield _reach_socket(destination, timeout_s)
            continue
        yield _way(destination)
        if timeout_s:
            yield _reach(destination, timeout_s)


def _way(destination: Destination) -> Check:
    proxy = proxy_for(destination)
    try:
        open_pool(destination)
    except Unusable as exc:
        return fail("proxy", f"{destination.url}: {exc}")
    if proxy is None:
        return ok("proxy", f"{destination.url}: none by this environment")
    shown = proxy.rpartition("@")[2].partition("://")[2] or proxy.rpartition("@")[2]
    host = urlsplit(destination.url).hostname or ""
    if is_loopback(host):
        return warn("proxy", f"{destination.url} is on this machine, and goes through {shown}", f"NO_PROXY={host}")
    return ok("proxy", f"{destination.url} goes through {shown}")


def _reach(destination: Destination, timeout_s: float) -> Check:
    """Any answer will do: whether the key is taken is asked with a window, by the collector."""
    url = destination.url
    try:
        pool = open_pool(destination)
        timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        answer = pool.urlopen("GET", url + "/", retries=False, redirect=False, timeout=timeout, preload_content=False)
        answer.close()
        pool.clear()
    except Unusable as exc:
        return fail("reach", f"{url}: {exc}", exit_code=UNREACHABLE)
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as exc:
        return fail("reach", f"{url} does not answer: {in_words(exc)}", _mend(exc), UNREACHABLE)
    return ok("reach", f"{url} answers (status {answer.status} without a key)")


def _reach_socket(destination: Destination, timeout_s: float) -> Check:
    place = urlsplit(destination.url)
    try:
        with contextlib.closing(socket.create_connection((place.hostname or "", place.port or 80), timeout_s)):
            return ok("reach", f"{destination.url} takes connections")
    except (OSError, ValueError) as exc:
        text = f"nobody listens at {destination.url}: {in_words(exc)}"
        return fail("reach", text, "start the listener, or set RECOST_LOCAL_TRANSPORT=file", UNREACHABLE)


def _origin(url: str) -> str:
    place = urlsplit(url)
    return f"{place.scheme}://{place.netloc.rpartition('@')[2]}"


def _mend(exc: BaseException) -> str:
    if isinstance(exc, urllib3.exceptions.SSLError):
        return "for a CA of your own set SSL_CERT_FILE to its bundle"
    return "check RECOST_BASE_URL, DNS, firewall and proxy; windows wait on disk meanwhile"
