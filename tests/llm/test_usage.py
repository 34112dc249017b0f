"""Every provider's usage in one form, and what no provider should say."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import types
from typing import Any, NamedTuple, Optional

import pytest

from recost.llm.usage import Usage, normalise, tier_of

CHAT = {
    "prompt_tokens": 1000,
    "completion_tokens": 500,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 800, "audio_tokens": 20},
    "completion_tokens_details": {"reasoning_tokens": 300, "audio_tokens": 0, "accepted_prediction_tokens": 5},
}
RESPONSES = {
    "input_tokens": 1000,
    "output_tokens": 500,
    "total_tokens": 1500,
    "input_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 50},
    "output_tokens_details": {"reasoning_tokens": 300},
}
ANTHROPIC = {
    "input_tokens": 100,
    "output_tokens": 200,
    "cache_read_input_tokens": 600,
    "cache_creation_input_tokens": 300,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
    "output_tokens_details": {"thinking_tokens": 150},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
    "service_tier": "batch",
}
GOOGLE = {
    "prompt_token_count": 1000,
    "cached_content_token_count": 800,
    "candidates_token_count": 200,
    "thoughts_token_count": 300,
    "tool_use_prompt_token_count": 40,
    "total_token_count": 1540,
    "prompt_tokens_details": [{"modality": "TEXT", "token_count": 900}, {"modality": "AUDIO", "token_count": 100}],
    "cache_tokens_details": [{"modality": "AUDIO", "token_count": 60}],
    "candidates_tokens_details": [{"modality": "IMAGE", "token_count": 20}],
    "traffic_type": "ON_DEMAND_FLEX",
}
GOOGLE_WIRE = {
    "promptTokenCount": 1000,
    "cachedContentTokenCount": 800,
    "candidatesTokenCount": 200,
    "thoughtsTokenCount": 300,
    "toolUsePromptTokenCount": 40,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 100}],
    "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 60}],
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
    "trafficType": "ON_DEMAND_FLEX",
}
GEMINI = Usage(
    1040, 500, cached=800, reasoning=300, tier="flex",
    parts={"input_audio": 40, "cached_audio": 60, "output_image": 20},
)  # fmt: skip

SHAPES: list[tuple[str, dict[str, Any], Usage]] = [
    ("openai chat", CHAT, Usage(1000, 500, cached=800, reasoning=300, parts={"input_audio": 20})),
    ("openai responses", RESPONSES, Usage(1000, 500, cached=800, cache_write=50, reasoning=300)),
    ("openai embeddings", {"prompt_tokens": 8, "total_tokens": 8}, Usage(8)),
    (
        "anthropic",
        ANTHROPIC,
        Usage(1000, 200, 600, 300, 100, 150, tier="batch", parts={"web_search": 2}),
    ),
    ("anthropic without a cache", {"input_tokens": 10, "output_tokens": 5}, Usage(10, 5)),
    (
        "anthropic, nulls",
        {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": None, "cache_creation": None},
        Usage(10, 5),
    ),
    (
        "anthropic, only the split",
        {"input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}},
        Usage(6, cache_write=5, cache_write_1h=3),
    ),
    ("google", GOOGLE, GEMINI),
    ("google on the wire", GOOGLE_WIRE, GEMINI),
    (
        "bedrock",
        {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 20, "cacheWriteInputTokens": 30},
        Usage(60, 5, 20, 30),
    ),
    ("deepseek", {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 6}, Usage(10, 5, 6)),
    ("moonshot", {"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 6}, Usage(10, 5, 6)),
    (
        "litellm",
        {"prompt_tokens": 10, "completion_tokens": 5, "cache_read_input_tokens": 6, "cache_creation_input_tokens": 3},
        Usage(10, 5, 6, 3),
    ),
    (
        "xai: reasoning beside the completion",
        {**CHAT, "total_tokens": 1800},
        Usage(1000, 800, 800, reasoning=300, parts={"input_audio": 20}),
    ),
    (
        "openrouter",
        {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.25},
        Usage(10, 5, reported_pico=250_000_000_000),
    ),
    (
        "perplexity",
        {"prompt_tokens": 10, "completion_tokens": 5, "cost": {"total_cost": 0.25}},
        Usage(10, 5, reported_pico=250_000_000_000),
    ),
    (
        "langchain",
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "input_token_details": {"cache_read": 6, "cache_creation": 3},
            "output_token_details": {"reasoning": 2},
        },
        Usage(10, 5, 6, 3, reasoning=2),
    ),
    (
        "inclusive names",
        {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 6, "cache_write_tokens": 3},
        Usage(10, 5, 6, 3),
    ),
    ("only a total", {"total_tokens": 7}, Usage(7)),
    ("only an output", {"prompt_tokens": None, "completion_tokens": 5}, Usage(0, 5)),
    ("only an output, anthropic's last", {"output_tokens": 5}, Usage(0, 5)),
]


def as_objects(fields: dict[str, Any]) -> Any:
    return json.loads(json.dumps(fields), object_hook=lambda inner: types.SimpleNamespace(**inner))


def as_slots(fields: Any) -> Any:
    """An object without a ``__dict__``, such as a compiled one."""
    if isinstance(fields, list):
        return [as_slots(inner) for inner in fields]
    if not isinstance(fields, dict):
        return fields
    values = {name: as_slots(value) for name, value in fields.items()}
    return type("Slots", (), {"__slots__": (), **{name: property(lambda _, v=v: v) for name, v in values.items()}})()


def as_mapping(fields: dict[str, Any]) -> Any:
    return types.MappingProxyType(collections.OrderedDict(fields))


@pytest.mark.parametrize("form", [dict, as_objects, as_slots, as_mapping])
def test_a_shape_means_the_same_in_every_form(form):
    shapes = [shape for shape in SHAPES if form is not as_slots or "wire" not in shape[0]]  # the wire has no objects

    assert {name: normalise(form(said)) for name, said, _ in shapes} == {name: usage for name, _, usage in shapes}


def test_a_dataclass_a_tuple_and_a_dict_of_ones_own_are_usages():
    @dataclasses.dataclass
    class Used:
        prompt_tokens: int
        completion_tokens: int
        prompt_tokens_details: Optional[dict[str, int]] = None

    class Named(NamedTuple):
        input_tokens: int
        output_tokens: int

    class Counted(dict[str, int]):
        pass

    assert normalise(Used(10, 5, {"cached_tokens": 4})) == Usage(10, 5, 4)
    assert normalise(Named(10, 5)) == Usage(10, 5)
    assert normalise(Counted(prompt_tokens=10)) == Usage(10)


def test_pydantic_models_with_fields_they_do_not_declare():
    """The SDKs' models: what the server adds is kept beside the declared fields."""
    pydantic = pytest.importorskip("pydantic")

    class Details(pydantic.BaseModel):
        cached_tokens: Optional[int] = None

    class Used(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        prompt_tokens: int
        completion_tokens: int
        prompt_tokens_details: Optional[Details] = None

    used = Used(prompt_tokens=10, completion_tokens=5, prompt_tokens_details=Details(cached_tokens=4), cost=0.5)

    assert normalise(used) == Usage(10, 5, 4, reported_pico=500_000_000_000)


@pytest.mark.parametrize(
    ("module", "name", "fields", "expected"),
    [
        ("openai.types.completion_usage", "CompletionUsage", CHAT, SHAPES[0][2]),
        ("openai.types.responses.response_usage", "ResponseUsage", RESPONSES, SHAPES[1][2]),
        ("anthropic.types", "Usage", ANTHROPIC, SHAPES[3][2]),
        ("google.genai.types", "GenerateContentResponseUsageMetadata", GOOGLE, GEMINI),
    ],
)
def test_the_sdks_own_objects(module: str, name: str, fields: dict[str, Any], expected: Usage):
    usage_class = getattr(pytest.importorskip(module), name)

    assert normalise(usage_class.model_validate(fields)) == expected


def test_nothing_said_is_unknown_and_not_zero():
    for said in (None, {}, [], "", 3, object(), {"tokens": 5}, {"prompt_tokens": None}, types.SimpleNamespace()):
        assert normalise(said) == Usage(known=False)


def test_a_tier_is_a_word_or_an_enum():
    class Traffic(enum.Enum):
        FLEX = "ON_DEMAND_FLEX"
        USUAL = "ON_DEMAND"

    said = ["batch", "FLEX", "priority", "fast", "default", "auto", "scale", None, 3, Traffic.FLEX, Traffic.USUAL]

    assert [tier_of(word) for word in said] == ["batch", "flex", "priority", "fast", "", "", "", "", "", "flex", ""]
    assert normalise({"input_tokens": 1, "speed": "fast"}).tier == "fast"


def test_what_is_read_is_left_as_it_was():
    said = json.loads(json.dumps(ANTHROPIC))

    normalise(said)

    assert said == ANTHROPIC
