"""API cost intelligence for Python services: what every provider and endpoint costs, for all workers of a host.

PYTEST_DONT_REWRITE: it would, as it brings a plugin, and warn a program that imports recost before pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recost._version import __version__
from recost.capture import install, is_installed, uninstall
from recost.config import LocalTransportMode, RecostConfig, TransportMode
from recost.errors import ConfigError, RecostAuthError, RecostError, RecostFatalAuthError, RecostRateLimitError
from recost.event import RawEvent
from recost.session import ProviderDef
from recost.tags import feature_tag

if TYPE_CHECKING:
    from recost.aggregator import Aggregator
    from recost.handle import RecostHandle, flush, init
    from recost.llm.anthropic import patch_anthropic, unpatch_anthropic
    from recost.llm.google import patch_google, unpatch_google
    from recost.llm.openai import patch_openai, unpatch_openai
    from recost.llm.prices import estimate_cost
    from recost.llm.track import track
    from recost.providers import BUILTIN_PROVIDERS, MatchResult, ProviderRegistry
    from recost.windows import MAX_BUCKETS
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
    "estimate_cost",
    "feature_tag",
    "flush",
    "init",
    "install",
    "is_installed",
    "patch_anthropic",
    "patch_google",
    "patch_openai",
    "track",
    "uninstall",
    "unpatch_anthropic",
    "unpatch_google",
    "unpatch_openai",
]

_LATER = {
    "BUILTIN_PROVIDERS": "recost.providers",
    "MAX_BUCKETS": "recost.windows",
    "Aggregator": "recost.aggregator",
    "FlushStatus": "recost.wire",
    "MatchResult": "recost.providers",
    "MetricEntry": "recost.wire",
    "ProviderRegistry": "recost.providers",
    "RecostHandle": "recost.handle",
    "WindowSummary": "recost.wire",
    "estimate_cost": "recost.llm.prices",
    "flush": "recost.handle",
    "init": "recost.handle",
    "patch_anthropic": "recost.llm.anthropic",
    "patch_google": "recost.llm.google",
    "patch_openai": "recost.llm.openai",
    "track": "recost.llm.track",
    "unpatch_anthropic": "recost.llm.anthropic",
    "unpatch_google": "recost.llm.google",
    "unpatch_openai": "recost.llm.openai",
}
"""Loaded when first asked for: most programs never do, and the counting is the collector's."""


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - only who asks pays

    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return value
