"""The tag of a route, for calls that have none of their own."""

from __future__ import annotations

import pytest

from recost import feature_tag
from recost.tags import current_origin, origin, tag_here


@pytest.fixture
def _a_route():
    token = origin.set(lambda: "GET /orders/{id}")
    yield
    origin.reset(token)


@pytest.mark.usefixtures("_a_route")
def test_the_feature_goes_before_the_route_and_an_empty_one_gives_way():
    assert (tag_here(or_route=True), tag_here(or_route=False)) == ("GET /orders/{id}", "")
    with feature_tag("checkout"):
        assert (tag_here(or_route=True), tag_here(or_route=False)) == ("checkout", "checkout")
        with feature_tag(""):
            assert tag_here(or_route=True) == "GET /orders/{id}"


@pytest.mark.parametrize("tell", [lambda: None, lambda: "", lambda: 1 / 0, lambda: b"/x", lambda: 7, None])
def test_a_route_that_cannot_be_told_is_none(tell):
    token = origin.set(tell)
    try:
        assert current_origin() == ""
    finally:
        origin.reset(token)
