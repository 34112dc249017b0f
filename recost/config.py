"""Every setting: its unit, its default, and which source it comes from.

    init(setting=…)  >  RecostConfig(setting=…)  >  RECOST_SETTING in the environment  >  the default

None means "not set" in all of them, so the next one counts.  ``resolve`` alone reads the environment; what it
returns is decided and checked, and resolving that again changes nothing: it can be handed to a child process.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Optional

from recost._checks import check_flag, redact, shown
from recost._settings import SETTINGS, CollectorMode, Keywords, LocalTransportMode, TransportMode, read_flag
from recost.errors import ConfigError
from recost.hosts import travels_unencrypted
from recost.session import ProviderDef

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "CollectorMode",
    "Keywords",
    "LocalTransportMode",
    "RecostConfig",
    "TransportMode",
    "differing",
    "is_switched_off",
    "resolve",
]

PREFIX = "RECOST_"
SWITCHED_OFF_BY = (("RECOST_ENABLED", False), ("RECOST_DISABLED", True))
INTERVALS = frozenset({"flush_interval", "flush_interval_ms"})
"""Two names of one setting: a source that gives either hides both in the sources below it."""
CHECKED_WHEN_OFF = ("api_key", "exclude_patterns")
DEPRECATED = "flush_interval"
LLM_LOGS = (".llm", ".llm.1")
"""Ends of the names of files that hold no windows, so a report leaves them out."""
LISTS = ("custom_providers", "exclude_patterns", "exclude_hosts")

logger = logging.getLogger("recost")


class RecostConfig:
    """What a program sets, by keyword. Building one checks nothing and reads no environment: ``init()`` does both.

    Immutable, can be copied and pickled (an ``on_error`` permitting); its ``repr`` shows no key.
    """

    api_key: Optional[str] = None
    """The service's key. None: local mode."""
    project_id: Optional[str] = None
    """Required in cloud mode. In local mode it names the file."""
    environment: str = "development"
    """Tag on all telemetry."""
    flush_interval_ms: int = 30_000
    """Length of a window, ms."""
    flush_interval: Optional[float] = None
    """Deprecated: the same in seconds. Wins over ``flush_interval_ms`` of the same source."""
    max_batch_size: int = 100
    """Events that close a window early, at most once a second."""
    max_buckets: int = 2000
    """Distinct (provider, endpoint, method) in a window; one more closes it early."""
    local_transport: LocalTransportMode = "file"
    """Where windows go in local mode: a file, or a WebSocket listener on this machine."""
    local_port: int = 9847
    """Port of that listener."""
    debug: bool = False
    """One line per captured call and per flush on stderr."""
    enabled: bool = True
    """False: nothing is patched or started. Off in the environment beats the code; so does ``RECOST_DISABLED=1``."""
    custom_providers: Sequence[ProviderDef] = ()
    """Rules that go before the built-in ones."""
    exclude_patterns: Sequence[str] = ()
    """Calls whose URL or host contains one of these are not captured. No wildcards."""
    exclude_hosts: Sequence[str] = ()
    """Calls to exactly these hosts are not captured."""
    base_url: str = "https://api.recost.dev"
    """Where windows go in cloud mode; with or without trailing slash."""
    max_retries: int = 3
    """Attempts after the first before a window goes back to wait on disk."""
    shutdown_flush_timeout_ms: int = 3000
    """How long ``dispose()`` and exit wait for the last window, ms. 0: not at all."""
    max_consecutive_auth_failures: int = 5
    """401s in a row that suspend delivery."""
    auto_shutdown_handlers: bool = True
    """Deliver what is left at the interpreter's exit."""
    on_error: Optional[Callable[[Exception], object]] = None
    """Called with exceptions, on a thread of recost's, never on the one of a request."""
    collector: CollectorMode = "auto"
    """``auto``: start one when none lives; ``external``: never start one; ``thread``: run it in this process."""
    ring_bytes: int = 1 << 20
    """Shared memory for this process's ring."""
    exclude_loopback: bool = True
    """Calls to this machine are not captured in local mode."""
    route_tags: bool = False
    """Calls that no ``feature_tag`` names are tagged with the route or task that made them (frameworks, Celery)."""
    spool_max_bytes: int = 256 << 20
    """What may wait on disk; beyond it the oldest windows go, counted."""
    local_file_max_bytes: int = 64 << 20
    """The local file rotates at this size. 0: never."""
    collector_idle_exit_s: float = 10.0
    """A spawned collector leaves this long after its last worker did, seconds."""
    normalize_paths: bool = True
    """Ids in paths become ``{id}`` where a path serves as endpoint."""
    prices: Optional[Mapping[str, Mapping[str, Mapping[str, Any]]]] = None
    """Prices of LLMs that beat the table."""
    prices_file: Optional[str] = None
    """A JSON file of the same form; ``prices`` beats it."""
    llm_event_log: bool = False
    """Each LLM call, with the ``metadata`` given to ``track()``, is a line in a file of the local directory."""

    _given: frozenset[str]

    def __init__(self, **settings: Unpack[Keywords]) -> None:
        _refuse_unknown("RecostConfig", settings)
        given = {name: value for name, value in settings.items() if value is not None}
        lists: dict[str, object] = {name: [] for name in LISTS}
        vars(self).update({**lists, **given, "_given": frozenset(given)})

    def given(self) -> dict[str, Any]:
        """What was set, without the defaults."""
        values = vars(self)
        # `or`: somebody appended to a list that was not given
        return {name: values[name] for name in SETTINGS if name in self._given or values.get(name)}

    def replace(self, **changes: Unpack[Keywords]) -> RecostConfig:
        """A copy with other values; None takes a setting back."""
        values: dict[str, Any] = {**self.given(), **changes}
        return RecostConfig(**values)

    @property
    def mode(self) -> TransportMode:
        """``cloud`` with a key, else ``local``."""
        return "local" if self.api_key is None else "cloud"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"RecostConfig is immutable: use replace({name}=…)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecostConfig) and not differing(self, other)

    __hash__ = None  # type: ignore[assignment]  # equal by value, and some values are lists

    def __repr__(self) -> str:
        return f"RecostConfig({', '.join(f'{name}={_shown(name, value)!r}' for name, value in self.given().items())})"


class _Given(NamedTuple):
    """A value and the name to blame for it: the setting's, or its variable's."""

    name: str
    value: Any


def resolve(
    config: Optional[RecostConfig], overrides: Mapping[str, object], environ: Mapping[str, str]
) -> RecostConfig:
    """Every setting decided and checked. Call it from ``init()``: the warning for a deprecated one is the caller's.

    Raises ``ConfigError``, ``TypeError`` for an unknown name in ``overrides``, and ``ImportError`` when the
    WebSocket transport is asked for and its package is missing.
    """
    _refuse_unknown("init", overrides)
    given = _merged(config, overrides, environ)
    if is_switched_off(environ) or not _check(given.get("enabled", _Given("enabled", True)), "enabled"):
        return RecostConfig(enabled=False, **{n: _check(given[n], n) for n in CHECKED_WHEN_OFF if n in given})
    values = {name: getattr(RecostConfig, name) for name in SETTINGS}
    values.update((name, _check(source, name)) for name, source in given.items())
    if values["flush_interval"] is not None:
        _warn_deprecated(given["flush_interval"].name)
        values["flush_interval_ms"] = round(values.pop("flush_interval") * 1000)
    settings = RecostConfig(**values)
    _check_destination(settings)
    return settings


def is_switched_off(environ: Mapping[str, str]) -> bool:
    """Whether the environment says so, whatever the code says. ``ConfigError`` for a variable that is no boolean."""
    texts = [(variable, environ.get(variable, "").strip(), off) for variable, off in SWITCHED_OFF_BY]
    flags = [(check_flag(variable, read_flag(text)), off) for variable, text, off in texts if text]
    return any(flag is off for flag, off in flags)


def differing(old: RecostConfig, new: RecostConfig) -> list[str]:
    """``name: old -> new`` for each setting that differs, as a log may show it: keys are cut."""
    changed = [(name, getattr(old, name), getattr(new, name)) for name in SETTINGS]
    return [f"{name}: {_shown(name, a)!r} -> {_shown(name, b)!r}" for name, a, b in changed if not _same(a, b)]


def _merged(config: object, overrides: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, _Given]:
    merged: dict[str, _Given] = {}
    for source in (_from_environment(environ), _from_code(_given_by(config)), _from_code(overrides)):
        if not INTERVALS.isdisjoint(source):
            merged = {name: given for name, given in merged.items() if name not in INTERVALS}
        merged.update(source)
    return merged


def _given_by(config: object) -> Mapping[str, object]:
    if config is None:
        return {}
    if isinstance(config, RecostConfig):
        return config.given()
    got = f"a value of type {type(config).__name__}"  # and no more of it: it may well be the key
    raise ConfigError("config", got, "a RecostConfig; settings go in by name, as in init(api_key=…)")


def _from_code(settings: Mapping[str, object]) -> dict[str, _Given]:
    return {name: _Given(name, value) for name, value in settings.items() if value is not None}


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    found = {}
    for name, setting in SETTINGS.items():
        variable = PREFIX + name.upper()
        text = environ.get(variable, "").strip()
        if text and setting.read is not None:
            found[name] = _Given(variable, setting.read(text))
    return found


def _check(given: _Given, name: str) -> Any:
    return SETTINGS[name].check(given.name, given.value)


def _check_destination(settings: RecostConfig) -> None:
    if settings.api_key is not None:
        if settings.project_id is None:
            raise ConfigError("project_id", None, "the project's id in cloud mode (project_id or RECOST_PROJECT_ID)")
        if travels_unencrypted(settings.base_url):
            logger.warning("the API key will travel unencrypted: base_url=%s; use https", settings.base_url)
    elif settings.local_transport == "ws" and not _is_installed("websockets"):
        text = "local_transport='ws' needs the package websockets: pip install 'recost[local]'"
        raise ImportError(text, name="websockets")
    elif (settings.project_id or "").endswith(LLM_LOGS):
        want = "in local mode no '.llm' or '.llm.1' at the end (the files of single LLM calls are named so)"
        raise ConfigError("project_id", settings.project_id, want)


def _is_installed(module: str) -> bool:
    if module in sys.modules:  # find_spec fails on a stand-in without a spec
        return sys.modules[module] is not None
    return importlib.util.find_spec(module) is not None


def _warn_deprecated(name: str) -> None:
    instead = "RECOST_FLUSH_INTERVAL_MS" if name.startswith(PREFIX) else "flush_interval_ms"
    warnings.warn(f"{name} (seconds) is deprecated: use {instead}", DeprecationWarning, _stacklevel_of_user())


def _stacklevel_of_user() -> int:
    """For a warning of our caller: names the line outside of recost that led here, over whatever of ours is between."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - warnings can skip packages by itself from 3.12 on
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "recost":
        level, frame = level + 1, frame.f_back
    return level


def _refuse_unknown(function: str, settings: Mapping[str, object]) -> None:
    for name in settings:
        if name not in SETTINGS:
            from recost.nearest import did_you_mean  # noqa: PLC0415 - for those who misspell

            meant = did_you_mean(name, (known for known in SETTINGS if known != DEPRECATED))
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{meant}")


def _same(old: object, new: object) -> bool:
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        return list(old) == list(new)
    return bool(old == new)


def _shown(name: str, value: object) -> object:
    if name == "api_key" and isinstance(value, str):
        return redact(value)
    if name == "on_error" and value is not None:
        return getattr(value, "__qualname__", type(value).__name__)
    return shown(value)
