"""The urllib3 pool for one destination, made for the circumstances of the worker and not of this process.

urllib3 reads no environment, so the proxies and the CA bundle that came with the session are all that counts.

Its timeouts begin anew with each byte that arrives, so connecting (through a proxy's CONNECT) and waiting for an
answer also have a limit as a whole.
"""

from __future__ import annotations

import os
import ssl
from typing import Any, Optional
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed misses it

import urllib3
import urllib3.connection
from urllib3.util.ssl_ import create_urllib3_context

from recost.session import Destination
from recost_collector.exporters.limit import limit
from recost_collector.network_words import in_words

TIMEOUT = urllib3.Timeout(connect=10.0, read=30.0)
STEP_S = 40.0
"""How long one step may take however busy its socket is: more than a read, for its timeout says more."""


class Unusable(Exception):  # noqa: N818 - says what about the session's circumstances it is
    """The worker's proxy or CA bundle cannot be used. The text holds no credentials."""


def open_pool(destination: Destination) -> urllib3.PoolManager:
    """One connection to ``destination``, kept alive, through the worker's proxy if it has one for it."""
    proxy = proxy_for(destination)
    options: dict[str, Any] = {"maxsize": 1}
    if destination.url.startswith("https:") or (proxy or "").startswith("https:"):
        options.update(cert_reqs="CERT_REQUIRED", ssl_context=_tls(destination.ca_bundle))
    manager = urllib3.PoolManager(**options) if proxy is None else _through(proxy, options)
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return manager


def proxy_for(destination: Destination) -> Optional[str]:
    """The proxy's URL, None for a direct connection: ``NO_PROXY`` means what the standard library says it does."""
    proxies = dict(destination.proxies)
    target = urlsplit(destination.url)
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(target.netloc.rpartition("@")[2], proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _through(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    try:
        url = urllib3.util.parse_url(proxy)
        headers = urllib3.make_headers(proxy_basic_auth=unquote(url.auth)) if url.auth else {}
        bare = url._replace(auth=None).url
        tls = options.get("ssl_context")
        return urllib3.ProxyManager(bare, proxy_headers=headers, proxy_ssl_context=tls, **options)
    except (urllib3.exceptions.HTTPError, ValueError):
        # without the cause: its text may be the URL, and that may hold a password
        raise Unusable("the proxy's URL is not one of http:// or https://; check HTTPS_PROXY and HTTP_PROXY") from None


def _tls(ca_bundle: str) -> ssl.SSLContext:
    # urllib3's own context: releases before 2 cannot reach an IP address with one of ssl's.
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if not ca_bundle:
            context.load_default_certs()
        elif os.path.isdir(ca_bundle):
            context.load_verify_locations(capath=ca_bundle)
        else:
            context.load_verify_locations(cafile=ca_bundle)
    except OSError as exc:  # ssl.SSLError is one
        raise Unusable(f"cannot read the CA bundle {ca_bundle}: {in_words(exc)}; check SSL_CERT_FILE") from exc
    return context


class _Http(urllib3.connection.HTTPConnection):
    def getresponse(self) -> Any:
        with limit(lambda: self.sock, STEP_S):
            return super().getresponse()


class _Https(urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        with limit(lambda: self.sock, STEP_S):
            super().connect()

    def getresponse(self) -> Any:
        with limit(lambda: self.sock, STEP_S):
            return super().getresponse()


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https
