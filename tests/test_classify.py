"""From an event's URL to its bucket: the category, or the path without its ids."""

from __future__ import annotations

from typing import Any

import pytest

from recost.classify import Classifier
from recost.providers import ProviderDef

ACME = ProviderDef("api.acme.test", "acme", None, None, 0.3)
NAMED = ProviderDef("named.test", "named", None, "/things/123", 1.5)


@pytest.mark.parametrize(
    ("netloc", "path", "endpoint"),
    [
        ("api.openai.com", "/v1/chat/completions", ("openai", "chat_completions", "POST")),
        ("api.acme.test:8443", "/orders/123", ("acme", "/orders/{id}", "POST")),
        ("elsewhere.test", "/users/joe@example.com", ("unknown", "/users/{id}", "POST")),
        ("s3.amazonaws.com", "/b/0f8fad5b-d9cb-469f-a165-70867728950e", ("aws", "/b/{id}", "POST")),
        ("named.test", "/whatever", ("named", "/things/123", "POST")),  # a category is nobody's id
    ],
)
def test_ids_leave_the_path_where_it_serves_as_endpoint(netloc, path, endpoint):
    assert Classifier([ACME, NAMED]).classify(netloc, path, "POST").key == endpoint


def test_paths_stay_as_they_are_when_asked_for():
    classifier = Classifier([ACME], normalize_paths=False)
    assert classifier.classify("api.acme.test", "/orders/123", "GET").key == ("acme", "/orders/123", "GET")
    assert classifier.classify("elsewhere.test", "/users/7", "GET").key == ("unknown", "/users/7", "GET")


def test_costs_come_in_the_unit_of_the_sums():
    classifier = Classifier([ACME])
    assert classifier.classify("api.acme.test", "/", "GET").cost_pico_usd == 3_000_000_000
    assert classifier.classify("api.openai.com", "/v1/embeddings", "POST").cost_pico_usd == 100_000_000
    assert classifier.classify("elsewhere.test", "/", "GET").cost_pico_usd == 0


def test_a_webhooks_secret_does_not_become_an_endpoint():
    classifier = Classifier()
    key = classifier.classify("chat.internal.test", "/services/T0000/B0000/sEcReT", "POST").key
    assert key == ("unknown", "/services/{id}", "POST")
    assert (
        classifier.classify("api.telegram.org", "/bot123456:AAH-sEcReT/sendMessage", "POST").key[1]
        == "/{id}/sendMessage"
    )


def test_what_is_remembered_is_bounded():
    classifier = Classifier()
    for i in range(20_000):
        assert classifier.classify("elsewhere.test", f"/users/{i}", "GET").key[1] == "/users/{id}"
    remembered: Any = classifier.classify
    info = remembered.cache_info()
    assert info.currsize <= info.maxsize <= 4096
