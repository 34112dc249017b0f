"""The rules that say which provider a call belongs to and what it costs, as data.

Costs are rough averages per request in US cents, for comparison between endpoints.  Exact costs of LLM calls come
from their tokens.  None: no average that would mean anything, counted as 0.

``CONTRACT`` is fixed: other SDKs have the same rules in the same order with the same numbers.  ``FURTHER`` is ours;
its averages take what the contract's do: a chat of 2,000 tokens in and 500 out, an embedding of 1,000 tokens,
1,000 characters of speech, one minute of audio.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from recost.session import ProviderDef as Rule


class Refinement(NamedTuple):
    """Once a rule has matched, a path that contains ``part`` has this category and cost instead."""

    part: str
    category: str
    cents: Optional[float]


class Source(NamedTuple):
    """Where a provider's costs can be looked up, when that was last done, and what they were made from."""

    url: str
    reviewed: str
    basis: str


CONTRACT = (
    Rule("api.openai.com", "openai", "/v1/chat/completions", "chat_completions", 2.0),
    Rule("api.openai.com", "openai", "/v1/embeddings", "embeddings", 0.01),
    Rule("api.openai.com", "openai", "/v1/images/generations", "image_generation", 4.0),
    Rule("api.openai.com", "openai", "/v1/audio/transcriptions", "audio_transcription", 0.6),
    Rule("api.openai.com", "openai", "/v1/audio/speech", "text_to_speech", 1.5),
    Rule("api.openai.com", "openai", None, "other", 1.0),
    Rule("api.anthropic.com", "anthropic", "/v1/messages", "messages", 1.5),
    Rule("api.anthropic.com", "anthropic", None, "other", 1.0),
    Rule("api.stripe.com", "stripe", "/v1/charges", "charges", 0.0),
    Rule("api.stripe.com", "stripe", "/v1/payment_intents", "payment_intents", 0.0),
    Rule("api.stripe.com", "stripe", "/v1/customers", "customers", 0.0),
    Rule("api.stripe.com", "stripe", "/v1/subscriptions", "subscriptions", 0.0),
    Rule("api.stripe.com", "stripe", None, "other", 0.0),
    Rule("api.twilio.com", "twilio", None, "other", 0.5),
    Rule("api.sendgrid.com", "sendgrid", "/v3/mail/send", "send_email", 0.1),
    Rule("api.sendgrid.com", "sendgrid", None, "other", 0.0),
    Rule("*.pinecone.io", "pinecone", "/vectors/upsert", "vector_upsert", 0.08),
    Rule("*.pinecone.io", "pinecone", "/query", "vector_query", 0.08),
    Rule("*.pinecone.io", "pinecone", None, "other", 0.04),
    Rule("*.amazonaws.com", "aws", None, None, 0.0),
    Rule("*.googleapis.com", "gcp", None, None, 0.0),
    Rule("api.github.com", "github", "/repos", "repos", 0.0),
    Rule("api.github.com", "github", "/users", "users", 0.0),
    Rule("api.github.com", "github", "/search", "search", 0.0),
    Rule("api.github.com", "github", None, "other", 0.0),
    Rule("api.coingecko.com", "coingecko", "/api/v3/simple/price", "simple_price", 0.0),
    Rule("api.coingecko.com", "coingecko", "/api/v3/coins", "coins", 0.0),
    Rule("api.coingecko.com", "coingecko", None, "other", 0.0),
    Rule("hacker-news.firebaseio.com", "hackernews", "/v0/topstories", "topstories", 0.0),
    Rule("hacker-news.firebaseio.com", "hackernews", "/v0/item", "item", 0.0),
    Rule("hacker-news.firebaseio.com", "hackernews", None, "other", 0.0),
    Rule("wttr.in", "wttr", None, "weather", 0.0),
    Rule("zenquotes.io", "zenquotes", None, "random_quote", 0.0),
    Rule("ip-api.com", "ip-api", None, "geolocation", 0.0),
)

CLOUDS = frozenset({"aws", "gcp"})
"""Providers of ``CONTRACT`` whose wildcards cover hosts of ``FURTHER``, which is therefore tried before them."""

# Names are those of the price table (genai-prices) where it has one.  It counts Bedrock as aws and Vertex as google;
# here they have names of their own, as the clouds' other services and the Gemini API have theirs.
# In these patterns a `*` may stand anywhere: some hosts carry their region or account in the middle.
FURTHER = (
    Rule("generativelanguage.googleapis.com", "google", None, "other"),
    Rule("aiplatform.googleapis.com", "vertex", None, "other"),
    Rule("*-aiplatform.googleapis.com", "vertex", None, "other"),
    Rule("bedrock-runtime.*.amazonaws.com", "bedrock", None, "other"),
    Rule("bedrock-runtime-fips.*.amazonaws.com", "bedrock", None, "other"),
    Rule("bedrock-mantle.*.api.aws", "bedrock", None, "other"),
    Rule("*.openai.azure.com", "azure", None, "other", 1.0),
    Rule("*.services.ai.azure.com", "azure", None, "other", 1.0),
    Rule("api.mistral.ai", "mistral", "/v1/chat/completions", "chat_completions", 0.18),
    Rule("api.mistral.ai", "mistral", "/v1/embeddings", "embeddings", 0.01),
    Rule("api.mistral.ai", "mistral", None, "other"),
    Rule("api.cohere.com", "cohere", None, "other"),
    Rule("api.cohere.ai", "cohere", None, "other"),
    Rule("api.groq.com", "groq", "/openai/v1/chat/completions", "chat_completions", 0.16),
    Rule("api.groq.com", "groq", "/openai/v1/audio/transcriptions", "audio_transcription"),
    Rule("api.groq.com", "groq", None, "other"),
    Rule("api.together.xyz", "together", "/v1/chat/completions", "chat_completions", 0.22),
    Rule("api.together.xyz", "together", "/v1/embeddings", "embeddings"),
    Rule("api.together.xyz", "together", None, "other"),
    Rule("api.deepseek.com", "deepseek", None, "other"),
    Rule("api.x.ai", "x-ai", "/v1/chat/completions", "chat_completions", 1.4),
    Rule("api.x.ai", "x-ai", None, "other"),
    Rule("openrouter.ai", "openrouter", "/api/v1/chat/completions", "chat_completions"),
    Rule("openrouter.ai", "openrouter", None, "other"),
    Rule("api.perplexity.ai", "perplexity", "/chat/completions", "chat_completions", 1.5),
    Rule("api.perplexity.ai", "perplexity", None, "other"),
    Rule("api.voyageai.com", "voyageai", "/v1/embeddings", "embeddings", 0.006),
    Rule("api.voyageai.com", "voyageai", None, "other"),
    Rule("api.elevenlabs.io", "elevenlabs", "/v1/text-to-speech", "text_to_speech"),
    Rule("api.elevenlabs.io", "elevenlabs", "/v1/speech-to-text", "audio_transcription"),
    Rule("api.elevenlabs.io", "elevenlabs", None, "other"),
    Rule("api.*.elevenlabs.io", "elevenlabs", "/v1/text-to-speech", "text_to_speech"),
    Rule("api.*.elevenlabs.io", "elevenlabs", "/v1/speech-to-text", "audio_transcription"),
    Rule("api.*.elevenlabs.io", "elevenlabs", None, "other"),
    Rule("api.deepgram.com", "deepgram", "/v1/listen", "audio_transcription", 0.43),
    Rule("api.deepgram.com", "deepgram", "/v1/speak", "text_to_speech"),
    Rule("api.deepgram.com", "deepgram", None, "other"),
    Rule("api.resend.com", "resend", "/emails", "send_email", 0.04),
    Rule("api.resend.com", "resend", None, "other", 0.0),
    Rule("api.mailgun.net", "mailgun", None, "other", 0.0),
    Rule("api.eu.mailgun.net", "mailgun", None, "other", 0.0),
    Rule("api.postmarkapp.com", "postmark", "/email", "send_email", 0.15),
    Rule("api.postmarkapp.com", "postmark", None, "other", 0.0),
    Rule("slack.com", "slack", "/api/", None, 0.0),
    Rule("hooks.slack.com", "slack", None, "incoming_webhook", 0.0),
    Rule("*.algolia.net", "algolia", None, "other", 0.0),
    Rule("*.algolianet.com", "algolia", None, "other", 0.0),
    Rule("api.mapbox.com", "mapbox", "/geocoding/", "geocoding", 0.075),
    Rule("api.mapbox.com", "mapbox", "/search/geocode/", "geocoding", 0.075),
    Rule("api.mapbox.com", "mapbox", "/directions/", "directions", 0.2),
    Rule("api.mapbox.com", "mapbox", None, "other"),
    Rule("maps.googleapis.com", "google_maps", "/maps/api/geocode/", "geocoding", 0.5),
    Rule("maps.googleapis.com", "google_maps", "/maps/api/directions/", "directions", 0.5),
    Rule("maps.googleapis.com", "google_maps", "/maps/api/distancematrix/", "distance_matrix"),
    Rule("maps.googleapis.com", "google_maps", "/maps/api/place/", "places"),
    Rule("maps.googleapis.com", "google_maps", None, "other"),
    Rule("places.googleapis.com", "google_maps", None, "places"),
    Rule("routes.googleapis.com", "google_maps", "/directions/v2:computeRoutes", "directions", 0.5),
    Rule("routes.googleapis.com", "google_maps", None, "other"),
)

_GEMINI = (
    Refinement(":generateContent", "generate_content", 0.19),
    Refinement(":streamGenerateContent", "generate_content", 0.19),
    Refinement("/chat/completions", "chat_completions", 0.19),
    Refinement(":embedContent", "embeddings", 0.015),
    Refinement(":batchEmbedContents", "embeddings", 0.015),
    Refinement("/embeddings", "embeddings", 0.015),
    Refinement(":countTokens", "count_tokens", 0.0),
)
_VERTEX = (
    Refinement(":generateContent", "generate_content", None),
    Refinement(":streamGenerateContent", "generate_content", None),
    Refinement("/chat/completions", "chat_completions", None),
    Refinement(":rawPredict", "raw_predict", None),
    Refinement(":streamRawPredict", "raw_predict", None),
    Refinement(":predict", "predict", None),
    Refinement(":countTokens", "count_tokens", 0.0),
)
_BEDROCK = (
    Refinement("/converse", "converse", None),
    Refinement("/invoke", "invoke_model", None),
    Refinement("/chat/completions", "chat_completions", None),
)
_AZURE = (
    Refinement("/chat/completions", "chat_completions", 2.0),
    Refinement("/embeddings", "embeddings", 0.01),
    Refinement("/images/generations", "image_generation", 4.0),
    Refinement("/audio/transcriptions", "audio_transcription", 0.6),
    Refinement("/audio/speech", "text_to_speech", 1.5),
)
_COHERE = (
    Refinement("/chat", "chat", 1.0),
    Refinement("/embed", "embeddings", 0.012),
    Refinement("/rerank", "rerank", 0.2),
)
_ALGOLIA = (Refinement("/query", "search", 0.05), Refinement("/queries", "search", 0.05))

REFINEMENTS: dict[str, tuple[Refinement, ...]] = {
    "api.twilio.com": (Refinement("/Messages", "sms", 0.79), Refinement("/Calls", "voice_calls", 1.3)),
    "generativelanguage.googleapis.com": _GEMINI,
    "aiplatform.googleapis.com": _VERTEX,
    "*-aiplatform.googleapis.com": _VERTEX,
    "bedrock-runtime.*.amazonaws.com": _BEDROCK,
    "bedrock-runtime-fips.*.amazonaws.com": _BEDROCK,
    "bedrock-mantle.*.api.aws": _BEDROCK,
    "*.openai.azure.com": _AZURE,
    "*.services.ai.azure.com": _AZURE,
    "api.cohere.com": _COHERE,
    "api.cohere.ai": _COHERE,
    "api.deepseek.com": (Refinement("/chat/completions", "chat_completions", 0.11),),
    "api.mailgun.net": (Refinement("/messages", "send_email", 0.07),),
    "api.eu.mailgun.net": (Refinement("/messages", "send_email", 0.07),),
    "*.algolia.net": _ALGOLIA,
    "*.algolianet.com": _ALGOLIA,
}
"""By the pattern of a rule of ours that has no prefix."""

_REVIEWED = "2026-11-21"
_CONTRACT = "the contract's numbers; the page is for comparison only"
_FREE = "no charge per request"
_VARIES = "depends on the model; no average"
_GENAI = "genai-prices 0.2.3, which names the page:"
SOURCES: dict[str, Source] = {
    "openai": Source("https://openai.com/api/pricing/", _REVIEWED, _CONTRACT),
    "anthropic": Source("https://www.anthropic.com/pricing#api", _REVIEWED, _CONTRACT),
    "stripe": Source("https://stripe.com/pricing", _REVIEWED, _CONTRACT),
    "twilio": Source("https://www.twilio.com/en-us/pricing", _REVIEWED, _CONTRACT),
    "sendgrid": Source("https://sendgrid.com/en-us/pricing", _REVIEWED, _CONTRACT),
    "pinecone": Source("https://www.pinecone.io/pricing/", _REVIEWED, _CONTRACT),
    "aws": Source("https://aws.amazon.com/pricing/", _REVIEWED, _CONTRACT),
    "gcp": Source("https://cloud.google.com/pricing/list", _REVIEWED, _CONTRACT),
    "github": Source("https://docs.github.com/en/rest", _REVIEWED, _CONTRACT),
    "coingecko": Source("https://www.coingecko.com/en/api/pricing", _REVIEWED, _CONTRACT),
    "hackernews": Source("https://github.com/HackerNews/API", _REVIEWED, _CONTRACT),
    "wttr": Source("https://github.com/chubin/wttr.in", _REVIEWED, _CONTRACT),
    "zenquotes": Source("https://zenquotes.io/", _REVIEWED, _CONTRACT),
    "ip-api": Source("https://ip-api.com/docs", _REVIEWED, _CONTRACT),
    "google": Source("https://ai.google.dev/gemini-api/docs/pricing", _REVIEWED, f"{_GENAI} gemini-2.5-flash"),
    "vertex": Source("https://cloud.google.com/vertex-ai/generative-ai/pricing", _REVIEWED, _VARIES),
    "bedrock": Source("https://aws.amazon.com/bedrock/pricing/", _REVIEWED, _VARIES),
    "azure": Source(
        "https://azure.microsoft.com/en-us/pricing/details/cognitive-services/openai-service/",
        _REVIEWED,
        "the contract's numbers for openai, as these are the same models",
    ),
    "mistral": Source("https://mistral.ai/pricing/api", _REVIEWED, f"{_GENAI} mistral-large-2512, mistral-embed"),
    "cohere": Source("https://cohere.com/pricing", _REVIEWED, f"{_GENAI} command-a, embed-v4; $2 per 1,000 reranks"),
    "groq": Source("https://console.groq.com/docs/models", _REVIEWED, f"{_GENAI} llama-3.3-70b-versatile"),
    "together": Source("https://www.together.ai/pricing", _REVIEWED, f"{_GENAI} Llama-3.3-70B-Instruct-Turbo"),
    "deepseek": Source(
        "https://api-docs.deepseek.com/quick_start/pricing", _REVIEWED, f"{_GENAI} deepseek-chat at its full rate"
    ),
    "x-ai": Source("https://docs.x.ai/docs/models", _REVIEWED, f"{_GENAI} grok-4-0709"),
    "openrouter": Source("https://openrouter.ai/models", _REVIEWED, _VARIES),
    "perplexity": Source("https://docs.perplexity.ai/getting-started/pricing", _REVIEWED, f"{_GENAI} sonar"),
    "voyageai": Source("https://docs.voyageai.com/docs/pricing", _REVIEWED, f"{_GENAI} voyage-4"),
    "elevenlabs": Source("https://elevenlabs.io/pricing/api", _REVIEWED, "depends on the plan; no average"),
    "deepgram": Source("https://deepgram.com/pricing", _REVIEWED, "nova-3, recorded: $0.0043 a minute"),
    "resend": Source("https://resend.com/pricing", _REVIEWED, "Pro: $20 for 50,000"),
    "mailgun": Source("https://www.mailgun.com/pricing/", _REVIEWED, "Foundation: $35 for 50,000"),
    "postmark": Source("https://postmarkapp.com/pricing", _REVIEWED, "Basic: $15 for 10,000"),
    "slack": Source("https://slack.com/pricing", _REVIEWED, _FREE),
    "algolia": Source("https://www.algolia.com/pricing", _REVIEWED, "Grow: $0.50 per 1,000 searches"),
    "mapbox": Source("https://www.mapbox.com/pricing", _REVIEWED, "$0.75 (geocoding), $2 (directions) per 1,000"),
    "google_maps": Source(
        "https://developers.google.com/maps/billing-and-pricing/pricing",
        _REVIEWED,
        "$5 per 1,000 (geocoding, directions); places and matrices depend on what is asked for",
    ),
}
