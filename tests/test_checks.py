from __future__ import annotations

import enum
import functools
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

import recost
from recost._checks import MAX_ITEMS, redact
from recost._settings import SETTINGS
from recost.compat.costara import to_project_id
from recost.config import RecostConfig, differing, resolve
from recost.errors import ConfigError
from recost.session import ProviderDef

KEY = "rc-0123456789abcdefghijklmnopqrstuvwxyz"
ACME = ProviderDef("*.acme.test", "acme", "/v1", "search", 0.5)

BAD: list[tuple[str, Any]] = [
    *[
        ("api_key", bad)
        for bad in ("", "rc-", "sk-live-0123456789", "RC-1", " rc-1", 7, b"rc-1", "rc-a\n", "rc-\u20ac")
    ],
    *[("api_key", bad) for bad in ("rc-a b", "rc-\u00e9", "rc-" + "x" * 600)],
    *[("project_id", bad) for bad in ("", ".x", "a/b", "..", "a b", "caf\u00e9", "x" * 129, 7, "a\n")],
    *[("environment", bad) for bad in ("", " ", "x" * 129, "a\nb", "\udc80", 7)],
    *[("flush_interval_ms", bad) for bad in (0, -1, 1.5, "30", True, 86_400_001, math.nan)],
    *[("flush_interval", bad) for bad in (0, -1, math.nan, math.inf, "1", True, 86_401)],
    *[("max_batch_size", bad) for bad in (0, -1, 1.0, True)],
    *[("max_buckets", bad) for bad in (0, 100_001, "many")],
    *[("local_transport", bad) for bad in ("", "tcp", "FILE", 1, ["file"])],
    *[("local_port", bad) for bad in (0, 65536, -1, "9847", False)],
    *[("debug", bad) for bad in (1, "true", "")],
    *[("enabled", bad) for bad in (0, "no")],
    *[("custom_providers", bad) for bad in (ACME, {"a": 1}, [{"host_pattern": "a", "provider": "b"}], "acme", 7)],
    *[("custom_providers", [ProviderDef(host, "acme")]) for host in ("", "*", "*.", "a.*", "*x.test", "a/b")],
    *[("custom_providers", [ProviderDef(host, "acme")]) for host in ("https://a.test", "a.test:80", "*.*.test")],
    *[("custom_providers", [ProviderDef("a.test", name)]) for name in ("", 7, "x" * 129)],  # type: ignore[arg-type]
    *[("custom_providers", [ProviderDef("a.test", "acme", bad)]) for bad in ("", "v1", 7)],  # type: ignore[arg-type]
    ("custom_providers", [ProviderDef("a.test", "acme", None, "")]),
    ("custom_providers", [ProviderDef(7, "acme")]),  # type: ignore[arg-type]
    *[("custom_providers", [ProviderDef("a.test", "a", None, None, x)]) for x in (-0.1, math.nan, math.inf, True)],
    *[("exclude_patterns", bad) for bad in (["*.test"], ["a", "b*"], "health", [""], [7], 7, {"a": 1})],
    ("exclude_patterns", ["a"] * (MAX_ITEMS + 1)),
    *[("exclude_hosts", bad) for bad in (["*.test"], ["http://a.test"], ["a.test:80"], ["a/b"], [""], "a.test", [7])],
    *[("base_url", bad) for bad in ("", "api.recost.dev", "ftp://a.test", "https://", "https:///x", "//a.test", 7)],
    *[
        ("base_url", "https://" + bad)
        for bad in ("u@a.test", "u:p@a.test", "a.test?q", "a.test/#x", "a b", "\u00e9.test")
    ],
    *[
        ("base_url", "https://" + bad)
        for bad in ("a.test:0", "a.test:x", "a.test:", "a:1:2", "[::1", "a.test\\x", "a\n")
    ],
    *[("max_retries", bad) for bad in (-1, 101, 1.0)],
    *[("shutdown_flush_timeout_ms", bad) for bad in (-1, 3_600_001, math.nan)],
    *[("max_consecutive_auth_failures", bad) for bad in (0, "5")],
    *[("auto_shutdown_handlers", bad) for bad in (1, "on")],
    *[("on_error", bad) for bad in (7, "print")],
    *[("collector", bad) for bad in ("", "inside", 7)],
    *[("ring_bytes", bad) for bad in (1000, 32768, 1 << 31, 65537, -65536, 65536.0, True)],
    *[("exclude_loopback", bad) for bad in (0, "false")],
    *[("route_tags", bad) for bad in (1, "yes")],
    *[("spool_max_bytes", bad) for bad in (0, 1000, 1 << 60)],
    *[("local_file_max_bytes", bad) for bad in (-1, 1, 1023, 1 << 60)],
    *[("collector_idle_exit_s", bad) for bad in (-1, math.nan, math.inf, "10", True)],
    *[("normalize_paths", bad) for bad in (1, "x")],
    ("prices", "x"),
    ("prices", 3),
    ("prices", {"openai": 3}),
    ("prices", {3: {}}),
    *[("prices_file", bad) for bad in (1, "", "a\0b", b"x")],
    *[("llm_event_log", bad) for bad in (1, "x")],
]

BAD_TEXTS = [
    ("RECOST_API_KEY", "sk-live-0123456789abcdef"),
    ("RECOST_PROJECT_ID", "a/b"),
    ("RECOST_FLUSH_INTERVAL_MS", "30s"),
    ("RECOST_FLUSH_INTERVAL", "nan"),
    ("RECOST_MAX_BATCH_SIZE", "1e3"),
    ("RECOST_LOCAL_TRANSPORT", "tcp"),
    ("RECOST_LOCAL_PORT", "70000"),
    ("RECOST_DEBUG", "maybe"),
    ("RECOST_ENABLED", "2"),
    ("RECOST_DISABLED", "never"),
    ("RECOST_EXCLUDE_PATTERNS", "ok,*.test"),
    ("RECOST_EXCLUDE_HOSTS", "http://a.test"),
    ("RECOST_BASE_URL", "api.recost.dev"),
    ("RECOST_COLLECTOR", "inside"),
    ("RECOST_RING_BYTES", "1000"),
    ("RECOST_COLLECTOR_IDLE_EXIT_S", "inf"),
    ("RECOST_MAX_RETRIES", "9" * 5000),
]


def config_of(**settings) -> RecostConfig:
    return RecostConfig(**settings)


def resolved(environ=None, **settings) -> RecostConfig:
    return resolve(None, settings, environ or {})


@pytest.mark.parametrize(("name", "bad"), BAD)
def test_a_bad_value_names_the_setting_and_what_it_wants(name: str, bad: object):
    settings = {"project_id": "shop", name: bad}

    with pytest.raises(ConfigError, match=": want ") as raised:
        resolved(**settings)

    assert raised.value.setting == name
    assert isinstance(raised.value, ValueError)
    assert str(raised.value).startswith(f"{name}=")
    assert len(str(raised.value)) < 400
    assert raised.value.__cause__ is raised.value.__context__ is None
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(("variable", "text"), BAD_TEXTS)
def test_an_unparsable_variable_is_named(variable: str, text: str):
    with pytest.raises(ConfigError, match=f"^{variable}=.*: want ") as raised:
        resolved({"RECOST_PROJECT_ID": "shop", variable: text})

    assert raised.value.setting == variable


async def tell(error: Exception) -> None:
    """An ``on_error`` that nobody would await."""


class Teller:
    async def tell(self, error: Exception) -> None: ...

    async def __call__(self, error: Exception) -> None: ...


@pytest.mark.parametrize("callback", [tell, Teller().tell, Teller(), functools.partial(tell)])
def test_a_callback_that_nobody_would_await_is_refused(callback):
    """Called like a function it does nothing, and what it was to tell is lost."""
    with pytest.raises(ConfigError, match=r"on_error=.*: want a function that is not async"):
        resolved(on_error=callback)
    with pytest.raises(TypeError, match="not async"):
        recost.install(callback)
    assert not recost.is_installed()


def test_a_path_may_be_an_object_of_that_kind(tmp_path: Path):
    assert resolved(prices_file=tmp_path).prices_file == str(tmp_path)  # type: ignore[arg-type]


def test_building_a_config_checks_nothing():
    for name, bad in BAD:
        assert getattr(config_of(**{name: bad}), name) is bad


def test_a_key_in_the_place_of_the_config_is_refused_and_not_shown():
    with pytest.raises(ConfigError, match="config='a value of type str': want a RecostConfig") as raised:
        resolve("acme-key-0123456789", {}, {})  # type: ignore[arg-type]

    assert "acme" not in repr(raised.value)


def test_a_cut_key_is_short_and_no_more_than_a_third():
    for length in range(1, 100):
        key = KEY * 3
        cut = redact(key[:length])
        assert cut.endswith("…")
        assert key.startswith(cut[:-1])
        assert len(cut) - 1 == min(8, length // 3)


def texts_about(key: str):
    """Every text that recost makes of a config with this key."""
    config = RecostConfig(api_key=key, project_id="shop")
    yield repr(config)
    yield "; ".join(differing(config, RecostConfig(project_id="shop")))
    for name in SETTINGS:
        yield repr(config_of(**{name: key}))
        yield repr(config_of(**{name: [key]}))
        for bad in (key, [key], key + "*", [key + "*"], f"https://{key}@a.test", f"https://a.test?{key}"):
            try:
                resolved(**{"project_id": "shop", name: bad})
            except ConfigError as exc:
                yield f"{exc} {exc!r} {exc.args}"


@pytest.mark.parametrize("length", [9, 10, 11, 23, 24, 25, 26, 60, 600])
def test_no_text_shows_a_key(length: int):
    """Not even one that was put into a wrong setting, or into a URL."""
    key = ("rc-" + "0123456789abcdefghijklmnopqrstuvwxyz" * 20)[:length]
    told = min(8, (len(key) + 1) // 3)  # + 1: some of the texts are about the key with a '*' behind it

    made = list(texts_about(key))

    assert len(made) > 100
    assert [text for text in made if key[: told + 1] in text] == []


def test_a_wrong_key_is_not_shown_either():
    with pytest.raises(ConfigError) as raised:
        resolved(api_key="hunter2-hunter2-hunter2-hunter2")

    assert "api_key='hunter2-…'" in str(raised.value)
    assert "hunter2-h" not in repr(raised.value)


def test_what_was_given_is_shown_by_its_type_when_it_is_a_stranger():
    class Hostile:
        def __repr__(self):
            raise ZeroDivisionError

    with pytest.raises(ConfigError, match="local_port='a value of type Hostile': want an integer"):
        resolved(local_port=Hostile())
    assert repr(RecostConfig(debug=Hostile())) == "RecostConfig(debug='a value of type Hostile')"  # type: ignore[arg-type]


def test_hosts_and_urls_get_one_form():
    settings = resolved(
        base_url="HTTPS://API.Test:444//",
        exclude_hosts=["A.Test.", "[::1]"],
        custom_providers=[ProviderDef("*.Acme.TEST.", "acme", cost_per_request_cents=1)],
    )

    assert settings.base_url == "https://api.test:444"
    assert settings.exclude_hosts == ("a.test", "::1")
    assert settings.custom_providers == (ProviderDef("*.acme.test", "acme", cost_per_request_cents=1.0),)


def test_members_of_enums_become_plain_values():
    """They are strings and integers, but msgpack and files want the plain ones."""

    class Stage(str, enum.Enum):
        PROD = "production"

    class Port(enum.IntEnum):
        LIVE = 99

    settings = resolved(environment=Stage.PROD, local_port=Port.LIVE)

    assert type(settings.environment) is str
    assert settings.environment == "production"
    assert type(settings.local_port) is int


@pytest.mark.parametrize("project", ["chat.llm", "chat.llm.1"])
def test_a_local_project_is_not_named_like_a_log_of_llm_calls(project: str):
    """Its windows would lie in the file of another project's LLM calls, where no report looks for any."""
    with pytest.raises(ConfigError, match=r"project_id=.*: want in local mode no '\.llm'"):
        resolve(None, {"project_id": project}, {})

    cloud = resolve(None, {"project_id": project, "api_key": "rc-0123456789abcdef"}, {})
    assert cloud.project_id == project
    assert resolve(None, {"project_id": "llm"}, {}).project_id == "llm"
    assert to_project_id(project).startswith("chat-llm-")
