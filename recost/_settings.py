"""The table of settings: for each its type, the check of its value and how the text of its variable is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, Optional, TypedDict

from recost import _checks as checks
from recost.session import ProviderDef

TransportMode = Literal["local", "cloud"]
LocalTransportMode = Literal["file", "ws"]
CollectorMode = Literal["auto", "external", "thread"]

DAY_S = 86_400
DAY_MS = 1000 * DAY_S
HOUR_MS = 3_600_000
MAX_FILE_BYTES = 1 << 50
FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Keywords(TypedDict, total=False):
    """The settings as keywords, for the signatures of ``RecostConfig`` and ``init``."""

    api_key: Optional[str]
    project_id: Optional[str]
    environment: Optional[str]
    flush_interval_ms: Optional[int]
    flush_interval: Optional[float]
    max_batch_size: Optional[int]
    max_buckets: Optional[int]
    local_transport: Optional[LocalTransportMode]
    local_port: Optional[int]
    debug: Optional[bool]
    enabled: Optional[bool]
    custom_providers: Optional[Sequence[ProviderDef]]
    exclude_patterns: Optional[Sequence[str]]
    exclude_hosts: Optional[Sequence[str]]
    base_url: Optional[str]
    max_retries: Optional[int]
    shutdown_flush_timeout_ms: Optional[int]
    max_consecutive_auth_failures: Optional[int]
    auto_shutdown_handlers: Optional[bool]
    on_error: Optional[Callable[[Exception], object]]
    collector: Optional[CollectorMode]
    ring_bytes: Optional[int]
    exclude_loopback: Optional[bool]
    route_tags: Optional[bool]
    spool_max_bytes: Optional[int]
    local_file_max_bytes: Optional[int]
    collector_idle_exit_s: Optional[float]
    normalize_paths: Optional[bool]
    prices: Optional[Mapping[str, Mapping[str, Mapping[str, Any]]]]
    prices_file: Optional[str]
    llm_event_log: Optional[bool]


class Setting(NamedTuple):
    """How one setting is checked and read."""

    check: Callable[[str, Any], Any]
    """(name to show, value) gives the value to use, or raises ``ConfigError``."""
    read: Optional[Callable[[str], object]] = None
    """What a variable's text stands for; the text itself, which the check then refuses, when it stands for
    nothing. None: not from the environment."""


def read_flag(text: str) -> object:
    return FLAGS.get(text.lower(), text)


def read_whole(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        return text


def read_number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def read_list(text: str) -> object:
    return [item.strip() for item in text.split(",") if item.strip()]


def _whole(low: int, high: int, *, or_zero: bool = False) -> Setting:
    return Setting(partial(checks.check_whole, low=low, high=high, or_zero=or_zero), read_whole)


def _seconds(low: float, high: float) -> Setting:
    return Setting(partial(checks.check_number, low=low, high=high, unit="seconds"), read_number)


def _choice(*of: str) -> Setting:
    return Setting(partial(checks.check_choice, of=of), str.lower)


def _list(check: Callable[[str, Any], Any], read: Optional[Callable[[str], object]] = read_list) -> Setting:
    return Setting(partial(checks.check_items, check=check), read)


_FLAG = Setting(checks.check_flag, read_flag)

SETTINGS: dict[str, Setting] = {
    "api_key": Setting(checks.check_key, str),
    "project_id": Setting(checks.check_project, str),
    "environment": Setting(checks.check_name, str),
    "flush_interval_ms": _whole(1, DAY_MS),
    "flush_interval": _seconds(0.001, DAY_S),
    "max_batch_size": _whole(1, 1_000_000),
    "max_buckets": _whole(1, 100_000),
    "local_transport": _choice("file", "ws"),
    "local_port": _whole(1, 65535),
    "debug": _FLAG,
    "enabled": _FLAG,
    "custom_providers": _list(checks.check_provider, None),
    "exclude_patterns": _list(checks.check_pattern),
    "exclude_hosts": _list(checks.check_host),
    "base_url": Setting(checks.check_base_url, str),
    "max_retries": _whole(0, 100),
    "shutdown_flush_timeout_ms": _whole(0, HOUR_MS),
    "max_consecutive_auth_failures": _whole(1, 1000),
    "auto_shutdown_handlers": _FLAG,
    "on_error": Setting(checks.check_callback),
    "collector": _choice("auto", "external", "thread"),
    "ring_bytes": Setting(checks.check_ring_bytes, read_whole),
    "exclude_loopback": _FLAG,
    "route_tags": _FLAG,
    "spool_max_bytes": _whole(1 << 20, MAX_FILE_BYTES),
    "local_file_max_bytes": _whole(1 << 10, MAX_FILE_BYTES, or_zero=True),
    "collector_idle_exit_s": _seconds(0, DAY_S),
    "normalize_paths": _FLAG,
    "prices": Setting(checks.check_prices),
    "prices_file": Setting(checks.check_path, str),
    "llm_event_log": _FLAG,
}
