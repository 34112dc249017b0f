"""Writes recost/llm/prices.json from the data of genai-prices and the corrections in overrides.json.

source.json pins the version and the day whose prices are meant, so the same pin gives the same bytes.  For a newer
version: pin it there and in pyproject.toml, install it, run this, and read the difference.

    scripts/update-prices            write the file
    scripts/update-prices --check    say whether it is what the pin gives; exit code 1 when it is not
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

from genai_prices import types
from genai_prices.data import providers

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "recost" / "llm" / "prices.json"

NAMES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "input_audio",
    "input_image_mtok": "input_image",
    "input_video_mtok": "input_video",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
    "output_video_mtok": "output_video",
    "cache_audio_read_mtok": "cached_audio",
    "cache_image_read_mtok": "cached_image",
    "cache_video_read_mtok": "cached_video",
    "requests_kcount": "request",
    "web_searches_kcount": "web_search",
}
"""The units that a response's usage names. Hours, characters and pages are in no usage that is read here."""

TIERS = {
    ("processing", "batch"): "batch",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
}
"""The contexts that a response names. Of the others, ``default`` differs from the usual price nowhere."""

PLACES = Decimal("0.000001")
"""A pico-dollar per token. The source has a few values with the noise of binary fractions in them."""


def main(arguments: list[str]) -> int:
    source = json.loads((HERE / "source.json").read_text("utf-8"))
    installed = metadata.version(source["package"])
    if installed != source["version"]:
        print(f"update-prices: {source['package']} is {installed}, the pin {source['version']}", file=sys.stderr)
        return 2
    text = render(source)
    if "--check" in arguments:
        is_same = OUT.read_text("utf-8") == text
        print("prices.json is what the pin gives" if is_same else "prices.json is not what the pin gives")
        return 0 if is_same else 1
    OUT.write_text(text, "utf-8")
    print(f"wrote {OUT} ({len(text)} bytes)")
    return 0


def render(source: dict[str, str]) -> str:
    """The file: JSON with one line for each model, so that a difference can be read."""
    corrections = json.loads((HERE / "overrides.json").read_text("utf-8"))
    day = dt.date.fromisoformat(source["taken"])
    head = {
        "source": f"{source['package']} {source['version']}",
        "taken": source["taken"],
        "notice": notice(source["package"]),
    }
    said = [f"{json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    sold = [
        render_provider(provider, day, corrections.get(provider.id, {}).get("models", {})) for provider in providers
    ]
    return "\n".join(["{", *said, '"providers": {', ",\n".join(sold), "}", "}", ""])


def notice(package: str) -> list[str]:
    """The licence, which has to go where the data goes."""
    licence = next(file for file in metadata.files(package) or () if "licenses" in file.parts)
    return licence.read_text("utf-8").splitlines()


def render_provider(provider: types.Provider, day: dt.date, corrections: dict[str, Any]) -> str:
    gone = set(corrections) - {model.id for model in provider.models}
    if gone:
        raise SystemExit(f"update-prices: {provider.id} has no {sorted(gone)} any more: look at overrides.json")
    entries = [{**entry_of(model, day), **corrections.get(model.id, {})} for model in provider.models]
    for model, entry in zip(provider.models, entries):
        if depends_on_hour(model) and not entry.get("low_confidence"):
            raise SystemExit(
                f"update-prices: {provider.id} {model.id} has prices by the hour: add it to overrides.json"
            )
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    fallback = provider.fallback_model_providers
    resells = f'"fallback": {json.dumps(fallback)}, ' if fallback else ""
    return f'{json.dumps(provider.id)}: {{{resells}"models": [\n{lines}\n]}}'


def entry_of(model: types.ModelInfo, day: dt.date) -> dict[str, Any]:
    entry = {"id": model.id, "match": rules_of(model.match), **prices_of(model, day)}
    days = sorted({start for start in starts_of(model) if start > day})
    later = [{"since": start.isoformat(), **prices_of(model, start)} for start in days]
    return {**entry, "later": later} if later else entry


def rules_of(clause: Any) -> list[Any]:
    return [rule_of(part) for part in clause.or_] if isinstance(clause, types.ClauseOr) else [rule_of(clause)]


def rule_of(clause: Any) -> Any:
    if isinstance(clause, types.ClauseAnd):
        return [rule_of(part) for part in clause.and_]
    if isinstance(clause, types.ClauseRegex):
        return f"/{clause.regex}"
    for kind, sign, field in KINDS:
        if isinstance(clause, kind):
            return sign + getattr(clause, field).lower()
    raise SystemExit(f"update-prices: the table has no rule for {clause}")


KINDS = (
    (types.ClauseEquals, "=", "equals"),
    (types.ClauseStartsWith, "^", "starts_with"),
    (types.ClauseEndsWith, "$", "ends_with"),
    (types.ClauseContains, "*", "contains"),
)


def starts_of(model: types.ModelInfo) -> Iterator[dt.date]:
    for part in [*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ())]:
        if isinstance(part.constraint, types.StartDateConstraint):
            yield part.constraint.start_date


def depends_on_hour(model: types.ModelInfo) -> bool:
    conditions = model.prices if isinstance(model.prices, list) else []
    return any(isinstance(part.constraint, types.TimeOfDateConstraint) for part in conditions)


def prices_of(model: types.ModelInfo, day: dt.date) -> dict[str, Any]:
    """What counts on ``day``, and what differs in each tier. None: nothing that a usage could be priced by."""
    at = dt.datetime.combine(day, dt.time(12), dt.timezone.utc)
    usual = written(model.get_prices(at))
    tiers: dict[str, Any] = {}
    for (key, value), tier in TIERS.items():
        special = written(model.get_prices(at, {key: value}))
        differs = {name: price for name, price in special.items() if usual.get(name) != price}
        if differs:
            tiers[tier] = differs
    is_free = model.id.endswith(":free") and not usual
    prices = usual or ({"input": 0, "output": 0} if is_free else None)
    return {"prices": prices, "tiers": tiers} if tiers else {"prices": prices}


def written(price: types.ModelPrice) -> dict[str, Any]:
    stored = price.__dict__
    return {name: steps(stored[key]) for key, name in NAMES.items() if stored.get(key) is not None}


def steps(price: Any) -> Any:
    if not isinstance(price, types.TieredPrices):
        return number(price)
    return [number(price.base), *([tier.start, number(tier.price)] for tier in price.tiers)]


def number(price: Decimal) -> Any:
    rounded = price.quantize(PLACES)
    return int(rounded) if rounded == int(rounded) else float(rounded)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
