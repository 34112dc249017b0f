"""No test leaves a tag in force."""

from __future__ import annotations

import pytest

from recost.tags import current_feature


@pytest.fixture(autouse=True)
def _nothing_leaks():
    assert current_feature() == ""
    yield
    assert current_feature() == ""
