"""The price table that is shipped: which entry a model's name means, and what that costs. Pure.

One line of ``prices.json`` is one model.  Within a provider they are tried in order, and the first whose ``match``
fits counts; names are compared in lower case.  A rule is a text whose first character says how it is compared:

    =name   equal           ^name   begins so       $name   ends so
    *name   contains it     /name   a regular expression finds it somewhere

and a list within the list is rules that must all fit.  A provider without an entry for a model may name others
whose models it resells (``fallback``), at their usual price.
"""

from __future__ import annotations

import re
from typing import Optional, Union

import msgspec

from recost.llm.aliases import PRICED_AS, canonical
from recost.llm.rates import Prices

Rule = Union[str, list[str]]


class Period(msgspec.Struct, gc=False):
    """What a model costs from a day on."""

    since: str
    """YYYY-MM-DD, UTC."""
    prices: Optional[Prices]
    tiers: dict[str, Prices] = {}
    """Of each tier, what differs from ``prices``."""


class Entry(msgspec.Struct, gc=False):
    """One model."""

    id: str
    match: list[Rule]
    prices: Optional[Prices]
    """None: it has none that a usage could be priced by (by the hour, by the page, or not known)."""
    tiers: dict[str, Prices] = {}
    later: list[Period] = []
    """Prices that were announced when the table was made, by rising day."""
    low_confidence: bool = False
    """The source was stale or cannot say what holds (prices by hour of day)."""

    def prices_at(self, day: str, tier: str) -> Optional[Prices]:
        """What counts on ``day``; a tier without prices of its own costs the usual."""
        prices, tiers = self.prices, self.tiers
        for period in self.later:
            if period.since <= day:
                prices, tiers = period.prices, period.tiers
        return None if prices is None else {**prices, **tiers.get(tier, {})}

    def next_change(self, day: str) -> Optional[str]:
        """The first day after ``day`` on which the price changes."""
        return next((period.since for period in self.later if period.since > day), None)


class Provider(msgspec.Struct, gc=False):
    models: list[Entry]
    fallback: list[str] = []


class File(msgspec.Struct):
    """``prices.json``."""

    source: str
    """The package and its version."""
    taken: str
    """The day whose prices are meant, YYYY-MM-DD."""
    notice: list[str]
    """The source's licence, by line."""
    providers: dict[str, msgspec.Raw]


NO_PRICES = b'{"source": "", "taken": "", "notice": [], "providers": {}}'


class Table:
    """The file, opened. A provider is decoded when a model of it is first asked for: a program knows few of them."""

    def __init__(self, encoded: bytes) -> None:
        self.file = msgspec.json.decode(encoded, type=File)
        self._decoded: dict[str, Provider] = {}

    def find(self, provider: str, model: str) -> Optional[tuple[Entry, bool]]:
        """The entry for ``model``, and whether it is the provider's own. Both names in lower case."""
        for name in _spellings(provider, model):
            found = self._find(PRICED_AS.get(provider, provider), name)
            if found is not None:
                return found
        return None

    def provider(self, name: str) -> Optional[Provider]:
        """The models of the provider that the table calls ``name``."""
        if name not in self._decoded and name in self.file.providers:
            self._decoded[name] = msgspec.json.decode(self.file.providers[name], type=Provider)
        return self._decoded.get(name)

    def _find(self, provider: str, model: str) -> Optional[tuple[Entry, bool]]:
        seller = self.provider(provider)
        if seller is None:
            return None
        entry = _match(seller, model)
        if entry is not None:
            return entry, True
        for maker in filter(None, map(self.provider, seller.fallback)):
            entry = _match(maker, model)
            if entry is not None:
                return entry, False
        return None


def _match(provider: Provider, model: str) -> Optional[Entry]:
    return next((entry for entry in provider.models if any(_fits(rule, model) for rule in entry.match)), None)


def _fits(rule: Rule, model: str) -> bool:
    if isinstance(rule, list):
        return all(_fits(part, model) for part in rule)
    how, text = rule[0], rule[1:]
    if how == "=":
        return model == text
    if how == "^":
        return model.startswith(text)
    if how == "*":
        return text in model
    return model.endswith(text) if how == "$" else re.search(text, model) is not None


_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


def _spellings(provider: str, model: str) -> list[str]:
    """The name as it is; with ``-20251211`` as ``-2025-12-11``; without the provider in front (``openai/gpt-4o``)."""
    names = [model]
    seller, slash, bare = model.partition("/")
    if slash and canonical(seller) == provider:
        names.append(bare)
    for name in list(names):
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        if dashed != name:
            names.append(dashed)
    return names
