"""``recost.compat.costara``: unchanged programs run, and a costara key goes nowhere."""

from __future__ import annotations

import inspect
import logging

import pytest

from recost.compat import costara
from tests.collector.collecting import delivered
from tests.conftest import Place


def test_an_unchanged_program_runs(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RECOST_COLLECTOR", "thread")
    with costara.init(api_key="cst_live_secret", project="shop"):
        usage = {"prompt_tokens": 1000, "completion_tokens": 500}
        cost = costara.estimate_cost("openai", "gpt-4o", usage)
        costara.track("openai", "gpt-4o", 1000, 500, cost, 830, feature_tag="checkout", metadata={"user": 1})
        assert costara.flush(30)

    (window,) = delivered()
    assert window["environment"] == "production"
    assert [entry["costUsd"] for entry in window["llmMetrics"]] == [0.0075]
    for folder in place:
        for path in folder.rglob("*"):
            assert not path.is_file() or b"cst_live" not in path.read_bytes()


def test_settings_come_from_costaras_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COSTARA_API_KEY", "cst_test_x")
    monkeypatch.setenv("COSTARA_PROJECT", "Größe & Co")
    made = costara.init()
    assert made._settings.project_id == costara.to_project_id("Größe & Co")
    assert made._settings.project_id.startswith("gr-e-co-")
    assert (made._settings.flush_interval_ms, made._settings.max_batch_size) == (2000, 50)
    made.dispose()
    monkeypatch.setenv("COSTARA_ENVIRONMENT", "staging")
    for given, environment in (((), "staging"), ((None, "shop", "mine", 2.0, 50, False), "mine")):
        with costara.init(*given) as made:
            assert made._settings.environment == environment
    monkeypatch.setenv("COSTARA_FLUSH_INTERVAL", "0.5")
    monkeypatch.setenv("COSTARA_BATCH_SIZE", "20")
    with costara.init() as made:
        assert (made._settings.flush_interval_ms, made._settings.max_batch_size) == (500, 20)
    with costara.init(flush_interval=0, batch_size=7) as made:
        assert (made._settings.flush_interval_ms, made._settings.max_batch_size) == (1, 7)
    monkeypatch.setenv("COSTARA_BATCH_SIZE", "many")
    with pytest.raises(ValueError, match="COSTARA_BATCH_SIZE"):
        costara.init()
    monkeypatch.setenv("COSTARA_DISABLED", "true")
    assert costara.init()._settings.enabled is False


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"project": "p"}, "api_key.*COSTARA_API_KEY"),
        ({"api_key": "cst_live_x"}, "project.*COSTARA_PROJECT"),
        ({"api_key": "rc-x", "project": "p"}, "cst_live_ or cst_test_"),
    ],
)
def test_what_is_missing_is_named(given, named):
    with pytest.raises(ValueError, match=named):
        costara.init(**given)


@pytest.mark.parametrize(
    ("given", "variables", "named"),
    [
        ({}, {"FLUSH_INTERVAL": "inf"}, "COSTARA_FLUSH_INTERVAL=inf: want seconds"),
        ({}, {"FLUSH_INTERVAL": "nan"}, "COSTARA_FLUSH_INTERVAL=nan: want seconds"),
        ({}, {"BATCH_SIZE": "-3"}, "COSTARA_BATCH_SIZE=-3.0: want events"),
        ({"flush_interval": "2"}, {}, "flush_interval='2': want seconds"),
        ({"batch_size": -1}, {}, "batch_size=-1: want events"),
        ({"project": 7}, {}, "project=7: want a text"),
        ({"api_key": b"cst_live_x"}, {}, "api_key: want a key that starts with"),
    ],
)
def test_what_is_no_such_value_is_named(given, variables, named, monkeypatch: pytest.MonkeyPatch):
    for name, text in variables.items():
        monkeypatch.setenv(f"COSTARA_{name}", text)

    with pytest.raises(ValueError, match=named):
        costara.init(**{"api_key": "cst_live_x", "project": "shop", **given})


OFF = [("RECOST_DISABLED", "1"), ("RECOST_ENABLED", "0"), ("COSTARA_DISABLED", "on")]


@pytest.mark.parametrize(("variable", "text"), OFF)
def test_a_program_that_is_switched_off_from_outside_needs_no_key(variable, text, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(variable, text)

    assert costara.init()._settings.enabled is False


def test_what_is_given_in_odd_but_legal_ways_counts(monkeypatch: pytest.MonkeyPatch):
    """A file of variables ends its lines as it likes, an empty one is unset, and None is what was not given."""
    monkeypatch.setenv("COSTARA_DISABLED", "perhaps")
    monkeypatch.setenv("COSTARA_API_KEY", " cst_live_x\n")
    monkeypatch.setenv("COSTARA_PROJECT", "shop ")
    monkeypatch.setenv("COSTARA_BATCH_SIZE", " ")
    with costara.init(environment=None, flush_interval=None, batch_size=None) as made:  # type: ignore[arg-type]
        settings = made._settings
    assert (settings.project_id, settings.environment) == ("shop", "production")
    assert (settings.flush_interval_ms, settings.max_batch_size) == (2000, 50)
    with costara.init(project="x" * 300) as made:
        assert len(str(made._settings.project_id)) < 60


def test_its_signatures_are_costaras():
    """As programs call them: by place, by name and without what has a default."""
    assert str(inspect.signature(costara.init).replace(return_annotation=inspect.Signature.empty)) == (
        "(api_key: 'Optional[str]' = None, project: 'Optional[str]' = None, environment: 'str' = 'production', "
        "flush_interval: 'float' = 2.0, batch_size: 'int' = 50, disabled: 'bool' = False)"
    )
    assert [*inspect.signature(costara.track).parameters] == [
        "provider", "model", "prompt_tokens", "completion_tokens", "cost", "latency_ms", "feature_tag", "metadata",
    ]  # fmt: skip
    assert inspect.signature(costara.flush).parameters["timeout"].default == 5.0
    for patch in (costara.patch_openai, costara.patch_anthropic, costara.patch_google):
        assert inspect.signature(patch).parameters["default_feature_tag"].default == "default"


def test_that_the_key_is_not_sent_is_said_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(costara, "_said", [])
    with caplog.at_level(logging.INFO, "recost"):
        for _ in range(2):
            costara.init("cst_live_x", "shop").dispose()

    assert [record.message for record in caplog.records if "never sent" in record.message] == [
        "a costara key is never sent anywhere: windows go to the local file; RECOST_API_KEY sends them"
    ]
