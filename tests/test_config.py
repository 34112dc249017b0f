from __future__ import annotations

import importlib.util
import logging
import sys
import types
import warnings
from typing import Any

import pytest

from recost._settings import SETTINGS, Keywords
from recost.config import RecostConfig, resolve
from recost.errors import ConfigError
from recost.session import ProviderDef
from recost.variables import VARIABLES, warn_of_unread_variables

KEY = "rc-0123456789abcdefghijklmnopqrstuvwxyz"
SECRET = KEY[9:]
"""No text may hold this part."""
CLOUD: dict[str, Any] = {"api_key": KEY, "project_id": "shop"}
ACME = ProviderDef("*.acme.test", "acme", "/v1", "search", 0.5)

# setting: (default, text of its variable, what that text stands for, another good value)
TABLE: dict[str, Any] = {
    "api_key": (None, KEY, KEY, "rc-another-key"),
    "project_id": (None, "shop", "shop", "Web-2_x.y"),
    "environment": ("development", "production", "production", "staging eu"),
    "flush_interval_ms": (30_000, "1500", 1500, 86_400_000),
    "flush_interval": (None, "2.5", None, None),
    "max_batch_size": (100, "7", 7, 1),
    "max_buckets": (2000, "9", 9, 1),
    "local_transport": ("file", "ws", "ws", "file"),
    "local_port": (9847, "1", 1, 65535),
    "debug": (False, "1", True, True),
    "enabled": (True, "yes", True, True),
    "custom_providers": ([], None, None, [ACME]),
    "exclude_patterns": ([], "/health, internal.", ("/health", "internal."), ["a", "b"]),
    "exclude_hosts": ([], "a.test,,B.test.", ("a.test", "b.test"), ["::1"]),
    "base_url": ("https://api.recost.dev", "https://Me.test:8443/x/", "https://me.test:8443/x", "http://[::1]:80"),
    "max_retries": (3, "0", 0, 100),
    "shutdown_flush_timeout_ms": (3000, "0", 0, 3_600_000),
    "max_consecutive_auth_failures": (5, "1", 1, 1000),
    "auto_shutdown_handlers": (True, "off", False, False),
    "on_error": (None, None, None, print),
    "collector": ("auto", "external", "external", "thread"),
    "ring_bytes": (1 << 20, "65536", 65536, 1 << 30),
    "exclude_loopback": (True, "FALSE", False, False),
    "route_tags": (False, "on", True, True),
    "spool_max_bytes": (256 << 20, "1048576", 1 << 20, 1 << 40),
    "local_file_max_bytes": (64 << 20, "0", 0, 1 << 30),
    "collector_idle_exit_s": (10.0, "0.5", 0.5, 0),
    "normalize_paths": (True, "no", False, False),
    "prices": (None, None, None, {"openai": {"mine": {"input": 1}}}),
    "prices_file": (None, "/etc/prices.json", "/etc/prices.json", "prices.json"),
    "llm_event_log": (False, "on", True, True),
}
FROM_ENVIRONMENT = [name for name, row in TABLE.items() if row[1] is not None]


def resolved(environ=None, **settings) -> RecostConfig:
    return resolve(None, settings, environ or {})


def config_of(**settings) -> RecostConfig:
    return RecostConfig(**settings)


def like_resolved(value):
    return tuple(value) if isinstance(value, list) else value


def test_the_settings_are_the_ones_of_the_contract():
    assert list(SETTINGS) == list(TABLE) == list(Keywords.__annotations__)
    assert set(RecostConfig.__annotations__) - {"_given"} == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_setting_has_its_default(name: str):
    default = TABLE[name][0]

    assert getattr(RecostConfig(), name) == default
    assert getattr(config_of(**{name: None}), name) == default
    assert getattr(resolved(), name) == like_resolved(default)


@pytest.fixture
def websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is installed, as far as anybody looks."""
    monkeypatch.setitem(sys.modules, "websockets", types.ModuleType("websockets"))


@pytest.mark.parametrize("name", FROM_ENVIRONMENT)
@pytest.mark.filterwarnings("ignore:RECOST_FLUSH_INTERVAL:DeprecationWarning")
@pytest.mark.usefixtures("websockets")
def test_a_setting_comes_from_the_environment(name: str):
    _, text, meant, _ = TABLE[name]
    environ = {"RECOST_PROJECT_ID": "shop", f"RECOST_{name.upper()}": f" {text} "}

    assert getattr(resolved(environ), name) == meant


@pytest.mark.parametrize("name", [name for name in TABLE if name not in {"flush_interval", "enabled"}])
def test_keywords_beat_the_config_which_beats_the_environment(name: str):
    default, text, _, good = TABLE[name]
    other = {"collector": "auto", "local_transport": "file", "custom_providers": [], "on_error": repr}.get(
        name, default
    )
    environ = {"RECOST_PROJECT_ID": "env"}
    if text is not None:
        environ[f"RECOST_{name.upper()}"] = text

    given = getattr(resolve(config_of(**{name: good}), {}, environ), name)
    assert given == like_resolved(good)
    if other is not None:
        assert getattr(resolve(config_of(**{name: good}), {name: other}, environ), name) == like_resolved(other)


def test_an_explicit_default_beats_the_environment():
    """Given is not the same as different."""
    environ = {"RECOST_ENVIRONMENT": "production", "RECOST_EXCLUDE_HOSTS": "a.test", "RECOST_DEBUG": "1"}
    config = RecostConfig(environment="development", exclude_hosts=[], debug=False)

    settings = resolve(config, {}, environ)

    assert (settings.environment, settings.exclude_hosts, settings.debug) == ("development", (), False)


def test_none_is_not_given():
    """``api_key=os.environ.get("MY_KEY")`` without that variable leaves the word to recost's own."""
    environ = {"RECOST_API_KEY": KEY, "RECOST_PROJECT_ID": "env", "RECOST_LOCAL_PORT": "5"}

    settings = resolve(RecostConfig(api_key=None, local_port=None), {"api_key": None, "project_id": None}, environ)

    assert (settings.api_key, settings.project_id, settings.local_port) == (KEY, "env", 5)


@pytest.mark.parametrize("name", FROM_ENVIRONMENT)
def test_an_empty_variable_counts_as_unset(name: str):
    assert resolved({f"RECOST_{name.upper()}": "", "RECOST_DISABLED": " "}) == resolved()


@pytest.mark.parametrize("build", [RecostConfig, resolved, RecostConfig().replace])
def test_an_unknown_setting_is_a_type_error(build):
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'api_kye'; did you mean api_key\?"):
        build(api_kye=KEY)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("project", "project_id"),
        ("apikey", "api_key"),
        ("API_KEY", "api_key"),
        ("interval", "flush_interval_ms"),
        ("flush_intervall", "flush_interval_ms"),
        ("excluded_hosts", "exclude_hosts"),
    ],
)
def test_what_was_meant_is_named_and_never_a_deprecated_name(
    written: str, meant: str, caplog: pytest.LogCaptureFixture
):
    with pytest.raises(TypeError, match=f"did you mean {meant}[?]"):
        resolved(**{written: 1})

    variable = f"RECOST_{written.upper()}_"
    for _ in range(2):
        warn_of_unread_variables({variable: "1"})
    assert caplog.messages == [
        f"{variable} is no setting of recost and does nothing; did you mean RECOST_{meant.upper()}?"
    ]


def test_a_setting_that_no_variable_can_carry_is_said_to_be_none(caplog: pytest.LogCaptureFixture):
    warn_of_unread_variables({"RECOST_CUSTOM_PROVIDERS": "[]", **dict.fromkeys(VARIABLES, "1")})

    assert caplog.messages == [
        "RECOST_CUSTOM_PROVIDERS is not read from the environment; it goes in as init(custom_providers=…)"
    ]


@pytest.mark.parametrize("word", ["1", "true", "YES", "On"])
def test_the_environment_switches_off_whatever_the_code_says(word: str):
    assert not resolved({"RECOST_DISABLED": word}, enabled=True).enabled
    assert resolved({"RECOST_ENABLED": word}).enabled
    assert not resolved({"RECOST_ENABLED": word}, enabled=False).enabled


@pytest.mark.parametrize("word", ["0", "false", "NO", "Off"])
def test_the_environment_does_not_switch_on_what_the_code_switched_off(word: str):
    assert not resolved({"RECOST_ENABLED": word}, enabled=True).enabled
    assert resolved({"RECOST_DISABLED": word}).enabled
    assert not resolved({"RECOST_DISABLED": word}, enabled=False).enabled


@pytest.mark.parametrize(("environ", "enabled"), [({"RECOST_ENABLED": "0"}, True), ({}, False)])
def test_switched_off_only_keys_and_patterns_are_checked(environ, enabled: bool):
    junk = {"RECOST_LOCAL_PORT": "x", "RECOST_BASE_URL": "nowhere", **environ}

    settings = resolved(junk, enabled=enabled, local_transport="tcp", project_id="/", api_key=KEY)

    assert (settings.enabled, settings.api_key, settings.local_port) == (False, KEY, 9847)
    with pytest.raises(ConfigError, match=r"^api_key="):
        resolved(junk, enabled=enabled, api_key="sk-1")
    with pytest.raises(ConfigError, match=r"^RECOST_EXCLUDE_PATTERNS="):
        resolved({**junk, "RECOST_EXCLUDE_PATTERNS": "*"}, enabled=enabled)


def test_cloud_mode_wants_a_project_and_says_where_from():
    with pytest.raises(ConfigError, match=r"project_id.*RECOST_PROJECT_ID") as raised:
        resolved(api_key=KEY)

    assert raised.value.setting == "project_id"
    assert resolved().mode == "local"
    assert resolved(**CLOUD).mode == "cloud"


def test_seconds_win_over_milliseconds_of_the_same_source():
    with pytest.warns(DeprecationWarning, match=r"flush_interval .* use flush_interval_ms"):
        settings = resolved(flush_interval=2.5, flush_interval_ms=9)

    assert (settings.flush_interval_ms, settings.flush_interval) == (2500, None)


def test_the_two_names_of_the_interval_are_one_setting():
    """The stronger source wins, whichever name it uses."""
    environ = {"RECOST_FLUSH_INTERVAL": "7"}

    assert resolved(environ, flush_interval_ms=9).flush_interval_ms == 9
    assert resolve(RecostConfig(flush_interval=7), {"flush_interval_ms": 8}, environ).flush_interval_ms == 8
    with pytest.warns(DeprecationWarning, match="RECOST_FLUSH_INTERVAL_MS"):
        assert resolve(None, {}, {**environ, "RECOST_FLUSH_INTERVAL_MS": "3"}).flush_interval_ms == 7000


def test_the_deprecation_names_the_line_of_the_user():
    """Over as many of recost's own frames as there may be."""
    inside = {"__name__": "recost.frameworks.any", "resolve": resolve}
    exec("def init(**settings):\n    return resolve(None, settings, {})", inside)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inside["init"](flush_interval=1)  # type: ignore[operator]

    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    "url", ["http://api.test", "http://127.evil.test", "http://localhost.test", "http://10.0.0.1:80/x"]
)
def test_a_key_over_plain_http_to_another_host_is_warned_of(url: str, caplog):
    with caplog.at_level(logging.WARNING, logger="recost"):
        resolved(**CLOUD, base_url=url)

    assert [record.name for record in caplog.records] == ["recost"]
    assert "unencrypted" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "url", ["https://api.test", "http://127.0.0.2:8080", "http://localhost", "http://[::1]:80", "http://a.localhost"]
)
def test_https_and_loopback_are_not_warned_of(url: str, caplog):
    resolved(**CLOUD, base_url=url)
    resolved(base_url="http://api.test")  # no key, nothing to leak

    assert caplog.records == []


@pytest.mark.usefixtures("websockets")
def test_the_websocket_transport_names_the_extra_it_needs(monkeypatch: pytest.MonkeyPatch):
    assert resolved(local_transport="ws").local_transport == "ws"

    monkeypatch.setitem(sys.modules, "websockets", None)

    with pytest.raises(ImportError, match=r"recost\[local\]") as raised:
        resolved(local_transport="ws")
    assert raised.value.name == "websockets"
    resolved(local_transport="ws", **CLOUD)  # not used in cloud mode
    resolved(local_transport="ws", enabled=False)


def test_the_websocket_transport_is_looked_for_without_importing_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "websockets", raising=False)
    asked: list[str] = []
    monkeypatch.setattr(importlib.util, "find_spec", asked.append)

    with pytest.raises(ImportError):
        resolved(local_transport="ws")
    assert asked == ["websockets"]
    assert "websockets" not in sys.modules
