from __future__ import annotations

import copy
import multiprocessing
import pickle
from typing import Any

import pytest

from recost.config import RecostConfig, differing, resolve
from recost.session import ProviderDef

KEY = "rc-0123456789abcdefghijklmnopqrstuvwxyz"
CLOUD: dict[str, Any] = {"api_key": KEY, "project_id": "shop"}
ACME = ProviderDef("*.acme.test", "acme", "/v1", "search", 0.5)


def resolved(**settings) -> RecostConfig:
    return resolve(None, settings, {})


def test_the_repr_is_what_was_given():
    config = RecostConfig(api_key=KEY, debug=False, custom_providers=[ACME], on_error=print)

    assert repr(RecostConfig()) == "RecostConfig()"
    assert repr(config) == (
        f"RecostConfig(api_key='{KEY[:8]}…', debug=False, custom_providers=['ProviderDef for *.acme.test'],"
        " on_error='print')"
    )


def test_a_resolved_config_resolves_to_itself():
    """A child process is given it, and its own environment changes nothing but the switch."""
    settings = resolved(**CLOUD, exclude_hosts=["A.test"], custom_providers=[ACME], collector_idle_exit_s=3)
    environ = {"RECOST_ENVIRONMENT": "other", "RECOST_EXCLUDE_PATTERNS": "x", "RECOST_FLUSH_INTERVAL": "9"}

    assert resolve(settings, {}, environ) == settings
    assert not resolve(settings, {}, {"RECOST_ENABLED": "0"}).enabled


def test_a_config_survives_a_pickle_and_a_deep_copy():
    config = RecostConfig(**CLOUD, custom_providers=[ACME], exclude_hosts=[])

    for twin in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config), copy.copy(config)):
        assert twin == config
        assert twin.given() == config.given()
        assert twin is not config


def test_a_spawned_process_gets_the_config():
    config = resolved(**CLOUD, custom_providers=[ACME], on_error=RecostConfig)

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(same, (config.replace(on_error=None),)) == config.replace(on_error=None)
        pool.close()
        pool.join()


def same(config: RecostConfig) -> RecostConfig:
    return config


def test_a_config_cannot_be_changed_but_replaced():
    config = RecostConfig(**CLOUD, debug=True)

    with pytest.raises(AttributeError, match=r"use replace\(debug="):
        config.debug = False
    changed = config.replace(debug=None, local_port=5)

    assert changed == RecostConfig(**CLOUD, local_port=5)
    assert config == RecostConfig(**CLOUD, debug=True)


def test_a_list_that_was_appended_to_counts():
    config = RecostConfig()
    config.exclude_hosts.append("a.test")  # type: ignore[attr-defined]

    assert resolve(config, {}, {}).exclude_hosts == ("a.test",)
    assert RecostConfig().exclude_hosts == []


def test_resolved_settings_do_not_follow_the_callers_lists():
    hosts = ["a.test"]
    settings = resolved(exclude_hosts=hosts)

    hosts.append("b.test")

    assert settings.exclude_hosts == ("a.test",)


def test_what_differs_is_told_without_keys():
    old = resolved(**CLOUD)
    new = resolved(api_key="rc-9876543210zyxwvutsrqponmlk", project_id="other", debug=True)

    assert differing(old, old) == []
    assert differing(old, new) == [
        f"api_key: '{KEY[:8]}…' -> 'rc-98765…'",
        "project_id: 'shop' -> 'other'",
        "debug: False -> True",
    ]


def test_two_keys_that_look_alike_still_differ():
    assert len(differing(RecostConfig(api_key=KEY), RecostConfig(api_key=KEY + "x"))) == 1
