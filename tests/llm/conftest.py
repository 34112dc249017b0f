"""The stand-in and the hooks of the SDK that a module of tests is about: it says which as ``SDK``.

google-genai wants a newer httpx than the oldest that is tried, on Python 3.9, beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import recost
from recost.llm import prices
from recost.llm.overrides import Overrides
from recost.llm.table import Table
from tests.llm.answering import Watched, watched
from tests.llm.frozen import FROZEN

collect_ignore = ["test_google.py"] if sys.version_info < (3, 10) else []

PATCHES = {
    "anthropic": (recost.patch_anthropic, recost.unpatch_anthropic),
    "google": (recost.patch_google, recost.unpatch_google),
    "openai": (recost.patch_openai, recost.unpatch_openai),
}


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> Iterator[Watched]:
    """The stand-in, whose calls are those of the SDK's own provider."""
    with watched(request.module.SDK) as made:
        yield made


@pytest.fixture
def patched(request: pytest.FixtureRequest) -> Iterator[None]:
    """The SDK is hooked."""
    patch, unpatch = PATCHES[request.module.SDK]
    patch()
    yield
    unpatch()


@pytest.fixture
def frozen_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frozen rows, nobody's own prices, and counts from 0: a new price list breaks no test."""
    monkeypatch.delenv("RECOST_PRICES_FILE", raising=False)
    monkeypatch.setattr(prices, "_current", prices.PriceList(Overrides(), Table(FROZEN)))
    monkeypatch.setattr(prices, "counts", prices.Counts())
