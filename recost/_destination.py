"""From settings to the registration that a ring carries: where this worker's events go and how they are grouped.

All that depends on the worker's environment is settled here, in the worker: the collector was started by some
other process, with another home, working directory, proxy or mount namespace.
"""

from __future__ import annotations

import contextlib
import os
import string
from collections.abc import Mapping

from recost._version import __version__
from recost.config import RecostConfig
from recost.origins import mount_namespace
from recost.paths import absolute, local_dir, make_dirs
from recost.session import Destination, Registration, Session

PROXY_SCHEMES = ("all", "http", "https", "no")
UNQUOTED = frozenset((string.ascii_letters + string.digits + "/-_.~").encode())
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def registration(settings: RecostConfig, environ: Mapping[str, str] = os.environ) -> Registration:
    """The session block for resolved ``settings``. Makes the local directory if it is missing; never raises."""
    session = Session(
        destination=_destination(settings, environ),
        environment=settings.environment,
        sdk_version=__version__,
        flush_interval_ms=settings.flush_interval_ms,
        max_batch_size=settings.max_batch_size,
        max_buckets=settings.max_buckets,
        normalize_paths=settings.normalize_paths,
        max_retries=settings.max_retries,
        max_consecutive_auth_failures=settings.max_consecutive_auth_failures,
        spool_max_bytes=settings.spool_max_bytes,
        collector_idle_exit_s=settings.collector_idle_exit_s,
        custom_providers=tuple(settings.custom_providers),
        llm_log=_file_destination(settings, ".llm", environ) if settings.llm_event_log else None,
    )
    return Registration(session=session, api_key=settings.api_key or "")


def proxies(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(scheme, value) of the proxy variables, as ``urllib`` takes them: lower case wins, even when it is empty.

    Under CGI the header ``Proxy:`` of a request arrives as ``HTTP_PROXY``, so there only ``http_proxy`` counts.
    """
    found = {}
    for scheme in PROXY_SCHEMES:
        lower = environ.get(f"{scheme}_proxy")
        upper = "" if scheme == "http" and "REQUEST_METHOD" in environ else environ.get(f"{scheme}_proxy".upper(), "")
        found[scheme] = upper if lower is None else lower
    return tuple((scheme, _as_utf8(value)) for scheme, value in found.items() if value)


def _destination(settings: RecostConfig, environ: Mapping[str, str]) -> Destination:
    project = settings.project_id or ""
    if settings.mode == "cloud":
        url = f"{settings.base_url}/projects/{project}/telemetry"
        return Destination(url, project, proxies=proxies(environ), ca_bundle=_ca_bundle(environ))
    if settings.local_transport == "ws":
        return Destination(f"ws://127.0.0.1:{settings.local_port}", project)
    return _file_destination(settings, "", environ)


def _file_destination(settings: RecostConfig, suffix: str, environ: Mapping[str, str]) -> Destination:
    path, identity = local_dir(environ), (0, 0)
    project = settings.project_id or ""
    # Zeros say that it failed; the collector reports the path when it cannot write there either.
    with contextlib.suppress(OSError, ValueError):
        make_dirs(path)
        path = os.path.realpath(path)
        found = os.stat(path)
        identity = (found.st_dev, found.st_ino)
    return Destination(
        url=f"file://{_quoted(path)}/{project or 'default'}{suffix}.jsonl",
        project_id=project,
        mount_namespace=mount_namespace(),
        directory=identity,
        file_max_bytes=settings.local_file_max_bytes,
    )


def _quoted(path: str) -> str:
    """For a URL. A path that begins with a drive gets a slash before it, as is usual."""
    path = path.replace(os.sep, "/")
    path = path if path.startswith("/") else f"/{path}"
    return "".join(chr(byte) if byte in UNQUOTED else f"%{byte:02X}" for byte in os.fsencode(path)).rstrip("/")


def _ca_bundle(environ: Mapping[str, str]) -> str:
    chosen = next((environ[name] for name in CA_VARIABLES if environ.get(name)), "")
    return _as_utf8(absolute(chosen, environ)) if chosen else ""


def _as_utf8(text: str) -> str:
    """``text`` as msgpack can carry it: what was no UTF-8 in the variable becomes ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")
