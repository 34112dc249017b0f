"""The shipped table says what its source says, model by model; and what is shipped is what the source gives."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from recost.llm import prices, table
from recost.llm.overrides import Overrides
from recost.llm.prices import PriceList
from recost.llm.rates import cost_pico, read_steps
from recost.llm.table import Entry, Table
from recost.llm.tokens import MAX_TOKENS, Usage

find = importlib.import_module if sys.version_info >= (3, 11) else pytest.importorskip  # the source needs Python 3.11
genai_prices = find("genai_prices")

ROOT = Path(__file__).parents[2]
PINNED = ROOT / "scripts" / "prices"
SHIPPED = (ROOT / "recost" / "llm" / "prices.json").read_bytes()
TAKEN = json.loads((PINNED / "source.json").read_text())["taken"]
CORRECTED = {
    (provider, model)
    for provider, correction in json.loads((PINNED / "overrides.json").read_text()).items()
    for model in correction["models"]
}

USAGES = [
    Usage(1000, 500),
    Usage(60_000, 1000, cached=30_000),
    Usage(200_000, 1000),
    Usage(300_001, 4000, cached=100_000, reasoning=2000),
    Usage(50_000, 1000, cached=10_000, cache_write=20_000, cache_write_1h=5000),
]
CONTEXTS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
PARTS = {
    "input_audio": ("input_audio_mtok", "input_audio_tokens"),
    "output_audio": ("output_audio_mtok", "output_audio_tokens"),
    "input_image": ("input_image_mtok", "input_image_tokens"),
    "output_image": ("output_image_mtok", "output_image_tokens"),
}


class Case(NamedTuple):
    provider: str
    model: str
    """As a response might name it."""
    usage: Usage
    tier: str


@pytest.fixture
def pinned_day(monkeypatch: pytest.MonkeyPatch):
    """The day whose prices the table has."""
    monkeypatch.setattr(prices, "_today", lambda: TAKEN)


def cases(only: str = "") -> Iterator[Case]:
    """Each model of the table with one usage; those of the makers under all their names, with each usage and tier."""
    providers = genai_prices.data_snapshot.get_snapshot().providers
    for provider in (provider for provider in providers if only in {"", provider.id}):
        is_maker = provider.id in {"openai", "anthropic", "google"}
        for n, model in enumerate(provider.models):
            usages = [*USAGES, *with_parts(model)] if is_maker else [USAGES[n % len(USAGES)]]
            yield from (Case(provider.id, model.id, usage, "") for usage in usages)
            if is_maker:
                yield from (Case(provider.id, name, USAGES[1], "") for name in names(model))
                yield from (Case(provider.id, model.id, USAGES[1], tier) for tier in CONTEXTS)


def names(model: Any) -> list[str]:
    """What else the model may be called, and a day that nobody knows."""
    rules = re.findall(r"(?:equals|starts_with|contains|ends_with)='([^']+)'", repr(model.match))
    return [*rules, f"{model.id}-20260101"]


def with_parts(model: Any) -> Iterator[Usage]:
    price = model.get_prices(noon())
    for part, (unit, _) in PARTS.items():
        if getattr(price, unit, None) is not None:
            yield Usage(1000, 500, parts={part: 300})


def noon() -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(TAKEN), dt.time(12), dt.timezone.utc)


def price_of_source(case: Case) -> tuple[tuple[str, str], float]:
    """(provider, model) of the entry that was taken, and the dollars. LookupError: it knows no such model."""
    usage = genai_prices.Usage(
        input_tokens=case.usage.input,
        output_tokens=case.usage.output,
        cache_read_tokens=case.usage.cached,
        cache_write_tokens=case.usage.cache_write,
        cache_write_1h_tokens=case.usage.cache_write_1h,
        output_reasoning_tokens=case.usage.reasoning,
        **{PARTS[part][1]: tokens for part, tokens in (case.usage.parts or {}).items()},
    )
    result = genai_prices.calc_price(
        usage,
        case.model,
        provider_id=case.provider,
        genai_request_timestamp=noon(),
        price_context=CONTEXTS.get(case.tier),
    )
    snapshot = genai_prices.data_snapshot.get_snapshot()
    owner = next(provider.id for provider in snapshot.providers if any(m is result.model for m in provider.models))
    return (owner, result.model.id), float(result.total_price)


def compare(price_list: PriceList, only: str = "") -> tuple[int, list[str]]:
    """How many cases were compared, and those in which the two differ."""
    compared, differing = 0, []
    for case in cases(only):
        cost = price_list.cost(case.provider, case.model, case.usage, case.tier)
        try:
            entry, expected = price_of_source(case)
        except LookupError:
            entry, expected = ("", ""), 0.0
        if entry in CORRECTED:
            continue
        compared += 1
        # The table rounds to whole pico-dollars a token.
        if abs(cost.pico / 1e12 - expected) > 0.51e-12 * (case.usage.input + case.usage.output) + 1e-15:
            differing.append(f"{case}: {cost.pico / 1e12} and not {expected}")
    return compared, differing


@pytest.mark.usefixtures("pinned_day")
def test_every_model_costs_what_the_source_says():
    compared, differing = compare(PriceList(Overrides(), Table(SHIPPED)))

    assert differing[:20] == []
    assert compared >= 1500


@pytest.mark.usefixtures("pinned_day")
@pytest.mark.parametrize(
    ("provider", "right", "wrong"),
    [
        ("anthropic", b'"^claude-3-opus"],"prices":{"input":15,', b'"^claude-3-opus"],"prices":{"input":15.01,'),
        ("openai", b'"=gpt-4o-2024-08-06"', b'"=gpt-4o-2024-08-07"'),
        ("google", b'"input":[1.25,[200000,2.5]]', b'"input":[1.25,[199999,2.5]]'),
    ],
    ids=["a price", "a name", "a threshold"],
)
def test_one_wrong_line_is_found(provider: str, right: bytes, wrong: bytes):
    """The control for the test above."""
    assert right in SHIPPED

    _, differing = compare(PriceList(Overrides(), Table(SHIPPED.replace(right, wrong))), only=provider)

    assert differing


def test_the_shipped_table_is_what_the_pin_gives():
    command = [sys.executable, str(PINNED / "update.py"), "--check"]
    ran = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert (ran.returncode, ran.stdout.strip()) == (0, "prices.json is what the pin gives"), ran.stderr


def test_the_table_names_its_source_its_day_and_its_licence():
    file = Table(SHIPPED).file

    assert file.source == f"genai-prices {genai_prices.__version__}"
    assert file.taken == TAKEN
    assert "Permission is hereby granted, free of charge" in " ".join(file.notice)


def test_a_correction_says_where_it_is_from_and_when_it_was_looked_at():
    for correction in json.loads((PINNED / "overrides.json").read_text()).values():
        assert correction["source"].startswith("https://")
        assert dt.date.fromisoformat(correction["reviewed"]) <= dt.date.fromisoformat(TAKEN)
        assert correction["why"]


def test_every_line_of_the_table_can_be_used():
    """A rule that does not compile or a price that is none would show only when the model is first called."""
    everything = Table(SHIPPED)
    for name in everything.file.providers:
        provider = everything.provider(name)
        assert provider is not None
        for entry in provider.models:
            check_line(entry)


def check_line(entry: Entry) -> None:
    for rule in entry.match:
        table._fits(rule, "x")
    for day in (TAKEN, *(period.since for period in entry.later)):
        for tier in ("", *entry.tiers):
            written = entry.prices_at(day, tier)
            if written is not None:
                steps = read_steps(written)
                assert cost_pico(steps, Usage(MAX_TOKENS, MAX_TOKENS)) < 1 << 63
    assert msgspec.json.encode(entry)
