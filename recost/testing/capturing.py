"""Capture for the length of a block, beside whatever ``init()`` and ``install()`` capture meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from recost._capture import add_sink, remove_sink
from recost._checks import check_flag, check_host, check_items, check_provider
from recost._exclusions import LOOPBACK
from recost.classify import Classifier
from recost.event import NS_PER_MS, CallEvent, host_of
from recost.session import ProviderDef
from recost.testing.call import Call
from recost.testing.calls import Calls


class Options(NamedTuple):
    """What is left out, and whose prices count."""

    exclude_loopback: bool = False
    exclude_hosts: tuple[str, ...] = ()
    custom_providers: tuple[ProviderDef, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Options:
        """``ConfigError`` that says what an option must be. Other names are the caller's business."""
        return cls(
            check_flag("exclude_loopback", given.get("exclude_loopback", False)),
            check_items("exclude_hosts", given.get("exclude_hosts", ()), check=check_host),
            check_items("custom_providers", given.get("custom_providers", ()), check=check_provider),
        )


@contextlib.contextmanager
def capture(
    *,
    exclude_loopback: bool = False,
    exclude_hosts: Sequence[str] = (),
    custom_providers: Sequence[ProviderDef] = (),
) -> Iterator[Calls]:
    """The calls that end inside the block, made by any thread and task of this process, as they come.

    Calls to this machine count, for tests talk to stand-ins; ``exclude_loopback`` leaves out ``localhost``,
    ``127.0.0.1`` and ``::1``. Those of child processes are not seen. Blocks may overlap and be in each other.
    """
    given = {
        "exclude_loopback": exclude_loopback,
        "exclude_hosts": exclude_hosts,
        "custom_providers": custom_providers,
    }
    capturing = _Capturing(Options.of(given))
    add_sink(capturing.take)
    try:
        yield capturing.calls
    finally:
        remove_sink(capturing.take)


class _Capturing:
    """One block. Its identity is the sink's: two blocks are two sinks."""

    def __init__(self, options: Options) -> None:
        self.calls = Calls()
        self._classify = Classifier(options.custom_providers).classify
        self._excluded = frozenset(options.exclude_hosts) | (LOOPBACK if options.exclude_loopback else frozenset())

    def take(self, event: CallEvent) -> None:
        host = host_of(event.netloc)
        if host in self._excluded:
            return
        (provider, endpoint, method), cost = self._classify(event.netloc, event.path, event.method)
        self.calls.add(
            Call(
                method=method,
                url=f"{event.scheme}://{event.netloc}{event.path}",
                host=host,
                path=event.path,
                status_code=event.status,
                error=event.error,
                latency_ms=event.duration_ns / NS_PER_MS,
                request_bytes=event.request_bytes,
                response_bytes=event.response_bytes,
                provider=provider,
                endpoint=endpoint,
                cost_pico_usd=cost,
            )
        )
