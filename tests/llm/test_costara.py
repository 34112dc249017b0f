"""``recost.compat.costara``: unchanged programs run, and a costara key goes nowhere."""

from __future__ import annotations

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
    monkeypatch.setenv("COSTARA_DISABLED", "true")
    assert costara.init()._settings.enabled is False


@pytest.mark.parametrize(
    ("given", "named"), [({"project": "p"}, "COSTARA_API_KEY"), ({"api_key": "cst_live_x"}, "COSTARA_PROJECT")]
)
def test_what_is_missing_is_named(given, named):
    with pytest.raises(ValueError, match=named):
        costara.init(**given)
