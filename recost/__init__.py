"""API cost intelligence for Python services: what every provider and endpoint costs, for all workers of a host."""

from __future__ import annotations

from recost._version import __version__
from recost.capture import install, is_installed, uninstall
from recost.config import LocalTransportMode, RecostConfig, TransportMode
from recost.errors import ConfigError, RecostAuthError, RecostError, RecostFatalAuthError, RecostRateLimitError
from recost.event import RawEvent
from recost.handle import RecostHandle, flush, init
from recost.providers import BUILTIN_PROVIDERS, MatchResult, ProviderRegistry
from recost.session import ProviderDef
from recost.windows import MAX_BUCKETS, Aggregator
from recost.wire import FlushStatus, MetricEntry, WindowSummary

__all__ = [
    "BUILTIN_PROVIDERS",
    "MAX_BUCKETS",
    "Aggregator",
    "ConfigError",
    "FlushStatus",
    "LocalTransportMode",
    "MatchResult",
    "MetricEntry",
    "ProviderDef",
    "ProviderRegistry",
    "RawEvent",
    "RecostAuthError",
    "RecostConfig",
    "RecostError",
    "RecostFatalAuthError",
    "RecostHandle",
    "RecostRateLimitError",
    "TransportMode",
    "WindowSummary",
    "__version__",
    "flush",
    "init",
    "install",
    "is_installed",
    "uninstall",
]
