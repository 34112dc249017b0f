"""What a provider says that a call used, in one form. Pure, and never raises.

The shape of the object decides, not the provider's name: Anthropic has an endpoint that answers as OpenAI does, and
a proxy may answer as either.  Several conventions meet here, and one comes out:

    first field                 cached input                        reasoning
    --------------------------  ----------------------------------  ------------------------------------------
    prompt_tokens               inside, told apart in details       inside completion_tokens; beside it when
                                                                    total_tokens counts it extra (xAI)
    input_tokens, with details  inside                              inside
    input_tokens, with          beside: added                       inside
    cache_*_input_tokens
    prompt_token_count          inside                              beside: added, and tool use to the input
    inputTokens                 beside: added                       inside
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from recost.llm.tokens import MAX_TOKENS, Odd, Usage, assemble, count, pico

__all__ = ["Usage", "normalise", "tier_of"]

Fields = Mapping[str, Any]


def normalise(usage: object) -> Usage:
    """Read an SDK's object, a dict, a dataclass or anything else with such fields. Never raises."""
    try:
        fields = usage if type(usage) is dict else _fields(usage)
        if fields.get("prompt_tokens") is not None:  # the most frequent shape without the loop
            return _read_prompt(fields)
        for field, read in _SHAPES:
            if fields.get(field) is not None:
                return read(fields)
    except Exception:  # noqa: BLE001 - an object of somebody else's: its attributes may do anything
        return Usage(known=False, odd=1)
    return Usage(known=False)


def tier_of(said: object) -> str:
    """The tier that a response's word for it is priced by; empty: the usual one."""
    if said is None:
        return ""
    if type(said) is not str:
        said = getattr(said, "value", said)  # an enum's
    return _TIERS.get(said.lower(), "") if isinstance(said, str) else ""


def _read_prompt(fields: Fields) -> Usage:
    """OpenAI's chat, completions and embeddings, and the many servers that answer like it."""
    odd: Odd = []
    tokens_in, tokens_out = count(fields.get("prompt_tokens"), odd), count(fields.get("completion_tokens"), odd)
    taken, made = fields.get("prompt_tokens_details"), fields.get("completion_tokens_details")
    is_plain = _BEYOND_DETAILS.isdisjoint(fields)
    if is_plain and taken is None and made is None:
        return Usage(tokens_in, tokens_out, odd=len(odd))
    taken, made = _fields(taken), _fields(made)
    cached, reasoning = taken.get("cached_tokens"), made.get("reasoning_tokens")
    write = None if _SAYS_WRITTEN.isdisjoint(taken) else _first(taken, _WRITTEN)
    if reasoning:
        reasoning = count(reasoning, odd)
        if fields.get("total_tokens") == tokens_in + tokens_out + reasoning:
            tokens_out += reasoning
    if not is_plain and cached is None:
        cached = _first(fields, _CACHED_BESIDE)
    if not is_plain and write is None:
        write = fields.get("cache_creation_input_tokens")
    usage = assemble(tokens_in, tokens_out, (cached, write, None, reasoning), odd)
    if taken.get("audio_tokens") or made.get("audio_tokens") or taken.get("image_tokens") or made.get("image_tokens"):
        _add_modalities(usage, taken, made, odd)
    return usage if is_plain else _add_terms(usage, fields, odd)


def _read_input(fields: Fields) -> Usage:
    """OpenAI's Responses, Anthropic's messages, and libraries that took over the names of either."""
    taken = _first(fields, _TAKEN)
    if taken is None and not _BESIDE.isdisjoint(fields) and _first(fields, _ANTHROPIC) is not None:
        return _read_anthropic(fields)
    odd: Odd = []
    inside, made = _fields(taken), _fields(_first(fields, _MADE))
    cached, write = _first(inside, _CACHED), _first(inside, _WRITTEN)
    split = (
        fields.get("cache_read_tokens") if cached is None else cached,
        fields.get("cache_write_tokens") if write is None else write,
        fields.get("cache_write_1h_tokens"),
        _first(made, _REASONED),
    )
    usage = assemble(count(fields.get("input_tokens"), odd), count(fields.get("output_tokens"), odd), split, odd)
    if inside or made:
        _add_modalities(usage, inside, made, odd)
    return usage if _TERMS.isdisjoint(fields) else _add_terms(usage, fields, odd)


def _read_anthropic(fields: Fields) -> Usage:
    """``input_tokens`` leaves out what touched the cache; ``cache_creation`` splits what was written by its time."""
    odd: Odd = []
    cached = count(fields.get("cache_read_input_tokens"), odd)
    write = count(fields.get("cache_creation_input_tokens"), odd)
    hour = reasoning = None
    written, made = fields.get("cache_creation"), fields.get("output_tokens_details")
    if written is not None:
        times = _fields(written)
        hour = count(times.get("ephemeral_1h_input_tokens"), odd)
        write = write or hour + count(times.get("ephemeral_5m_input_tokens"), odd)
    if made is not None:
        reasoning = _fields(made).get("thinking_tokens")
    tokens_in = count(fields.get("input_tokens"), odd) + cached + write
    usage = assemble(tokens_in, count(fields.get("output_tokens"), odd), (cached, write, hour, reasoning), odd)
    return usage if _TERMS.isdisjoint(fields) else _add_terms(usage, fields, odd)


def _read_google(fields: Fields) -> Usage:
    odd: Odd = []
    tools = count(fields.get("tool_use_prompt_token_count"), odd)
    thoughts = count(fields.get("thoughts_token_count"), odd)
    tokens_in = count(fields.get("prompt_token_count"), odd) + tools
    tokens_out = count(fields.get("candidates_token_count"), odd) + thoughts
    usage = assemble(tokens_in, tokens_out, (fields.get("cached_content_token_count"), None, None, thoughts), odd)
    cached = _modalities(fields.get("cache_tokens_details"), odd)
    taken = _modalities(fields.get("prompt_tokens_details"), odd)
    for kind, tokens in _modalities(fields.get("tool_use_prompt_tokens_details"), odd).items():
        taken[kind] = taken.get(kind, 0) + tokens
    for kind, tokens in taken.items():
        usage.add_part(f"input_{kind}", tokens - cached.get(kind, 0), usage.uncached)
    for kind, tokens in cached.items():
        usage.add_part(f"cached_{kind}", tokens, usage.cached)
    for kind, tokens in _modalities(fields.get("candidates_tokens_details"), odd).items():
        usage.add_part(f"output_{kind}", tokens, usage.output)
    usage.tier, usage.odd = tier_of(fields.get("traffic_type")), len(odd)
    return usage


def _read_google_wire(fields: Fields) -> Usage:
    """The same as it is spelt on the wire: ``promptTokenCount``."""
    return _read_google({_snake(field): value for field, value in fields.items()})


def _read_bedrock(fields: Fields) -> Usage:
    odd: Odd = []
    cached, write = count(fields.get("cacheReadInputTokens"), odd), count(fields.get("cacheWriteInputTokens"), odd)
    tokens_in = count(fields.get("inputTokens"), odd) + cached + write
    return assemble(tokens_in, count(fields.get("outputTokens"), odd), (cached, write, None, None), odd)


def _read_total(fields: Fields) -> Usage:
    """Some embeddings say no more; it was all input."""
    odd: Odd = []
    return Usage(count(fields.get("total_tokens"), odd), odd=len(odd))


_SHAPES: tuple[tuple[str, Callable[[Fields], Usage]], ...] = (
    ("prompt_tokens", _read_prompt),
    ("input_tokens", _read_input),
    ("prompt_token_count", _read_google),
    ("promptTokenCount", _read_google_wire),
    ("inputTokens", _read_bedrock),
    ("completion_tokens", _read_prompt),
    ("output_tokens", _read_input),
    ("candidates_token_count", _read_google),
    ("candidatesTokenCount", _read_google_wire),
    ("outputTokens", _read_bedrock),
    ("total_tokens", _read_total),
)
"""The first field that is not None tells the shape: the input's names, then the output's for what has only that."""

_CACHED = ("cached_tokens", "cache_read", "cache_read_input_tokens")
_CACHED_BESIDE = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens", "cached_prompt_text_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation")
_SAYS_WRITTEN = frozenset(_WRITTEN)
_REASONED = ("reasoning_tokens", "reasoning", "thinking_tokens")
_ANTHROPIC = ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")
_BESIDE = frozenset(_ANTHROPIC)
_TAKEN = ("input_tokens_details", "input_token_details")
_MADE = ("output_tokens_details", "output_token_details")
_TERMS = frozenset({"cost", "service_tier", "speed", "server_tool_use"})

# Most usages have none of these: one look at all of them is quicker than a look at each.
_BEYOND_DETAILS = frozenset({*_CACHED_BESIDE, "cache_creation_input_tokens", *_TERMS})

_TIERS = {
    "batch": "batch",
    "flex": "flex",
    "priority": "priority",
    "fast": "fast",
    "on_demand_flex": "flex",
    "on_demand_priority": "priority",
}
_KINDS = (("audio_tokens", "input_audio", "output_audio"), ("image_tokens", "input_image", "output_image"))
_MODALITIES = {"audio": "audio", "image": "image", "document": "image", "video": "video"}
"""Google's words, as they are priced; text is the usual price."""

_NAMES = (
    *(field for field, _ in _SHAPES), *_BEYOND_DETAILS, *_CACHED, *_WRITTEN, *_REASONED, *_ANTHROPIC, *_TAKEN, *_MADE,
    "prompt_tokens_details", "completion_tokens_details",
    "cache_read_tokens", "cache_write_1h_tokens", "audio_tokens", "image_tokens", "total_cost",
    "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "web_search_requests",
    "cached_content_token_count", "thoughts_token_count", "tool_use_prompt_token_count", "cache_tokens_details",
    "tool_use_prompt_tokens_details", "candidates_tokens_details", "traffic_type", "modality", "token_count",
    "cacheReadInputTokens", "cacheWriteInputTokens",
)  # fmt: skip
"""Every field that is read."""

_NONE: Fields = {}


def _fields(source: object) -> Fields:
    """The fields of ``source``; none of None."""
    if source is None:
        return _NONE
    if type(source) is dict or isinstance(source, Mapping):  # the first is quicker, and nearly always enough
        return source
    own = getattr(source, "__dict__", None)
    if type(own) is dict and not own.keys().isdisjoint(_NAMES):
        # What pydantic's classes do not declare is in a place of its own; getattr would raise for each that is missing.
        more = getattr(source, "__pydantic_extra__", None)
        return {**own, **more} if type(more) is dict else own
    return {name: getattr(source, name, None) for name in _NAMES}


def _first(fields: Fields, names: tuple[str, ...]) -> Any:
    for name in names:
        value = fields.get(name)
        if value is not None:
            return value
    return None


def _snake(field: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field)


def _add_modalities(usage: Usage, taken: Fields, made: Fields, odd: Odd) -> None:
    for field, of_input, of_output in _KINDS:
        tokens = taken.get(field)
        if tokens:
            usage.add_part(of_input, count(tokens, odd), usage.uncached)
        tokens = made.get(field)
        if tokens:
            usage.add_part(of_output, count(tokens, odd), usage.output)
    usage.odd = len(odd)


def _add_terms(usage: Usage, fields: Fields, odd: Odd) -> Usage:
    """What else is said of the price: the tier, the speed, searches, and what the response says that it cost."""
    usage.tier = tier_of(fields.get("service_tier")) or tier_of(fields.get("speed"))
    searches = _fields(fields.get("server_tool_use")).get("web_search_requests")
    if searches:
        usage.add_part("web_search", count(searches, odd), MAX_TOKENS)
    cost = fields.get("cost")
    if cost is not None:
        total = None if isinstance(cost, (int, float)) else _fields(cost).get("total_cost")  # Perplexity
        usage.reported_pico = pico(cost if total is None else total, odd)
    usage.odd = len(odd)
    return usage


def _modalities(details: object, odd: Odd) -> dict[str, int]:
    """Tokens by kind from Google's list of (modality, count), objects or dicts."""
    tokens: dict[str, int] = {}
    for detail in details if isinstance(details, (list, tuple)) else ():
        fields = _fields(detail)
        said = fields.get("modality")
        kind = _MODALITIES.get(str(getattr(said, "value", said)).lower())
        if kind:
            tokens[kind] = tokens.get(kind, 0) + count(_first(fields, ("token_count", "tokenCount")), odd)
    return tokens
