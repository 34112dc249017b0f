"""The user's own prices, which beat the table and what a response reports. Pure.

    {"openai": {"ft:gpt-4o-mini:acme:*": {"input": 0.3, "output": 1.2, "cached": 0.15,
                                          "tiers": {"batch": {"input": 0.15, "output": 0.6}}}},
     "*":      {"our-llama": {"input": 0.1, "output": 0.1}}}

Provider, model, prices in the words and units of ``rates``.  ``*`` is any provider; a model's name may end in one.
Names are compared in lower case.  An exact name beats a beginning, a longer beginning a shorter one, and a named
provider any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Optional

from recost.errors import ConfigError
from recost.llm.aliases import canonical
from recost.llm.rates import TIERS, Prices, Steps, read_steps

WANT = '{"openai": {"my-model": {"input": 2.5, "output": 10}}}, US dollars per million tokens'
Given = Mapping[str, Mapping[str, Mapping[str, Any]]]


class Overrides:
    """Prices by provider and model, checked when they are given."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], dict[str, Steps]] = {}
        self._beginnings: dict[tuple[str, str], dict[str, Steps]] = {}

    def add(self, given: Given, setting: str) -> None:
        """Take ``given`` over, before what is there. Raises ConfigError that names ``setting``."""
        for provider, model, prices in _entries(given, setting):
            by_tier = _read(prices, f"{setting}[{provider!r}][{model!r}]")
            seller = "*" if provider == "*" else canonical(provider)
            if model.endswith("*"):
                self._beginnings[seller, model[:-1].lower()] = by_tier
            else:
                self._exact[seller, model.lower()] = by_tier

    def find(self, provider: str, model: str, tier: str) -> Optional[Steps]:
        """The user's price. ``provider`` is canonical, ``model`` in lower case."""
        for seller in (provider, "*"):
            by_tier = self._exact.get((seller, model)) or self._by_beginning(seller, model)
            if by_tier is not None:
                return by_tier.get(tier, by_tier[""])
        return None

    def _by_beginning(self, provider: str, model: str) -> Optional[dict[str, Steps]]:
        fitting = [start for seller, start in self._beginnings if seller == provider and model.startswith(start)]
        return self._beginnings[provider, max(fitting, key=len)] if fitting else None


def fault_of(given: Any, setting: str) -> Optional[ConfigError]:
    """What is wrong with it; None when nothing is."""
    try:
        Overrides().add(given, setting)
    except ConfigError as error:
        return error
    return None


def _entries(given: Any, setting: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if not isinstance(given, Mapping):
        raise ConfigError(setting, given, WANT)
    for provider, models in given.items():
        if not isinstance(provider, str) or not isinstance(models, Mapping):
            raise ConfigError(setting, {provider: models}, WANT)
        for model, prices in models.items():
            if not isinstance(model, str) or not isinstance(prices, Mapping):
                raise ConfigError(setting, {provider: {model: prices}}, WANT)
            yield provider, model, prices


def _read(prices: Mapping[str, Any], setting: str) -> dict[str, Steps]:
    """The rates of each tier; under the empty name those of all others."""
    usual: Prices = {name: price for name, price in prices.items() if name != "tiers"}
    tiers = prices.get("tiers", {})
    if not usual:
        raise ConfigError(setting, dict(prices), "at least one price, such as input")
    if not isinstance(tiers, Mapping) or set(tiers) - set(TIERS):
        raise ConfigError(setting, tiers, f"tiers by name: {', '.join(TIERS)}")
    try:
        return {"": read_steps(usual), **{tier: read_steps({**usual, **differs}) for tier, differs in tiers.items()}}
    except (TypeError, ValueError) as error:
        raise ConfigError(setting, dict(prices), str(error)) from error
