"""What a worker tells the collector about itself: where its events go and how they are grouped.

The ring's session block holds one ``Registration``.  Everything that depends on the *worker's* environment
(resolved paths, proxies, CA bundle) is in here, for the collector was started by some other process.
Rings with an equal ``Session`` share windows; the key is not part of it, for a window belongs to a destination.
"""

from __future__ import annotations

from typing import Annotated, Optional

import msgspec

# Checked where a registration is read: another program may have written it, and a window for no bucket takes no event.
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Number = Annotated[int, msgspec.Meta(ge=1)]
_Buckets = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class ProviderDef(msgspec.Struct, frozen=True):
    """A rule: calls to hosts like ``host_pattern`` (and paths under ``path_prefix``) belong to ``provider``.

    ``*.example.com`` matches any subdomain, anything else must equal the host.  A rule without
    ``endpoint_category`` gives the path as category.  ``cost_per_request_cents``: US cents.
    """

    host_pattern: str
    provider: str
    path_prefix: Optional[str] = None
    endpoint_category: Optional[str] = None
    cost_per_request_cents: Optional[float] = None


class Destination(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place that windows go to. The URL's scheme names the exporter."""

    url: str
    """``file:///abs/dir/project.jsonl``, ``https://host/projects/ID/telemetry`` or ``ws://127.0.0.1:9847``."""
    project_id: str = ""
    proxies: tuple[tuple[str, str], ...] = ()
    """(scheme or ``no``, value) as the worker's environment has them, sorted: ``http_proxy`` gives ``http``."""
    ca_bundle: str = ""
    """``SSL_CERT_FILE`` or ``REQUESTS_CA_BUNDLE`` of the worker; empty: the system's."""
    mount_namespace: int = 0
    """Inode of the worker's ``/proc/self/ns/mnt``, 0 where there is none. File destinations only."""
    directory: tuple[int, int] = (0, 0)
    """Device and inode of the file's directory as the worker saw it; zeros: it could not be made."""
    file_max_bytes: _Count = 0
    """The file rotates at this size; 0: never."""

    @property
    def id(self) -> str:
        """The same for the same place, however it is reached (proxies, CA bundle); safe as a file name."""
        return _digest((self.url, self.directory))


class Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the events of a worker are grouped into windows, and where these go. No key, but a proxy's password."""

    destination: Destination
    environment: str = "development"
    sdk_version: str = ""
    flush_interval_ms: _Number = 30_000
    max_batch_size: _Number = 100
    max_buckets: _Buckets = 2000
    normalize_paths: bool = True
    max_retries: _Count = 3
    max_consecutive_auth_failures: _Number = 5
    spool_max_bytes: _Number = 256 << 20
    collector_idle_exit_s: _Seconds = 10.0
    custom_providers: tuple[ProviderDef, ...] = ()
    llm_log: Optional[Destination] = None
    """The file for a line about each LLM call, where that is wanted."""

    def place(self, destination_id: str) -> Destination:
        """The one of its destinations that has this id."""
        log = self.llm_log
        return log if log is not None and log.id == destination_id else self.destination

    @property
    def id(self) -> str:
        """The same for equal sessions; safe as a file name."""
        return _digest(self)


class Registration(msgspec.Struct, frozen=True):
    """The session block of a ring. Holds the key, so it exists in 0600 files in memory only."""

    session: Session
    api_key: str = ""
    """Empty: local mode."""

    def __repr__(self) -> str:
        return f"Registration({self.session!r}, api_key={'…' if self.api_key else ''!r})"


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Registration).decode


def _digest(value: object) -> str:
    import hashlib  # noqa: PLC0415 - loads OpenSSL, and only the collector asks for ids

    return hashlib.blake2b(msgspec.msgpack.encode(value), digest_size=10).hexdigest()
