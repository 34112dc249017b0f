"""The rules that are built in: the contract's table to the letter, further ones, and none that is dead."""

from __future__ import annotations

import datetime as dt

import pytest

from recost import _rules
from recost.providers import BUILTIN_PROVIDERS, MatchResult, ProviderDef, ProviderRegistry

CONTRACT = """
api.openai.com openai /v1/chat/completions chat_completions 2.0
api.openai.com openai /v1/embeddings embeddings 0.01
api.openai.com openai /v1/images/generations image_generation 4.0
api.openai.com openai /v1/audio/transcriptions audio_transcription 0.6
api.openai.com openai /v1/audio/speech text_to_speech 1.5
api.openai.com openai - other 1.0
api.anthropic.com anthropic /v1/messages messages 1.5
api.anthropic.com anthropic - other 1.0
api.stripe.com stripe /v1/charges charges 0
api.stripe.com stripe /v1/payment_intents payment_intents 0
api.stripe.com stripe /v1/customers customers 0
api.stripe.com stripe /v1/subscriptions subscriptions 0
api.stripe.com stripe - other 0
api.twilio.com twilio - other 0.5
api.sendgrid.com sendgrid /v3/mail/send send_email 0.1
api.sendgrid.com sendgrid - other 0
*.pinecone.io pinecone /vectors/upsert vector_upsert 0.08
*.pinecone.io pinecone /query vector_query 0.08
*.pinecone.io pinecone - other 0.04
*.amazonaws.com aws - - 0
*.googleapis.com gcp - - 0
api.github.com github /repos repos 0
api.github.com github /users users 0
api.github.com github /search search 0
api.github.com github - other 0
api.coingecko.com coingecko /api/v3/simple/price simple_price 0
api.coingecko.com coingecko /api/v3/coins coins 0
api.coingecko.com coingecko - other 0
hacker-news.firebaseio.com hackernews /v0/topstories topstories 0
hacker-news.firebaseio.com hackernews /v0/item item 0
hacker-news.firebaseio.com hackernews - other 0
wttr.in wttr - weather 0
zenquotes.io zenquotes - random_quote 0
ip-api.com ip-api - geolocation 0
"""


def contract_rule(line):
    host, provider, prefix, category, cents = line.split()
    return ProviderDef(
        host, provider, None if prefix == "-" else prefix, None if category == "-" else category, float(cents)
    )


def test_the_builtin_rules_are_the_contracts_34_in_its_order():
    assert list(BUILTIN_PROVIDERS) == [contract_rule(line) for line in CONTRACT.strip().splitlines()]
    assert len(BUILTIN_PROVIDERS) == 34


@pytest.mark.parametrize(
    ("url", "provider", "category", "cents"),
    [
        ("https://api.openai.com/v1/chat/completions", "openai", "chat_completions", 2.0),
        ("https://api.openai.com/v1/chat/completions/chatcmpl-1/messages", "openai", "chat_completions", 2.0),
        ("https://api.openai.com/v1/models", "openai", "other", 1.0),
        ("https://api.anthropic.com/v1/messages/count_tokens", "anthropic", "messages", 1.5),
        ("https://api.stripe.com/v1/payment_intents/pi_3Mt/confirm", "stripe", "payment_intents", 0.0),
        ("https://api.stripe.com/v1/refunds", "stripe", "other", 0.0),
        ("https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json", "twilio", "sms", 0.79),
        ("https://api.twilio.com/2010-04-01/Accounts/AC1/Calls.json", "twilio", "voice_calls", 1.3),
        ("https://api.twilio.com/2010-04-01/Accounts/AC1/Calls/CA1/Messages", "twilio", "sms", 0.79),
        ("https://api.twilio.com/2010-04-01/Accounts.json", "twilio", "other", 0.5),
        ("https://index-1.svc.us-east1.pinecone.io/vectors/upsert", "pinecone", "vector_upsert", 0.08),
        ("https://index-1.svc.pinecone.io/query", "pinecone", "vector_query", 0.08),
        ("https://index-1.svc.pinecone.io/vectors/fetch", "pinecone", "other", 0.04),
        ("https://bucket.s3.eu-west-1.amazonaws.com/key", "aws", "/key", 0.0),
        ("https://storage.googleapis.com/b/o", "gcp", "/b/o", 0.0),
        ("https://api.github.com/repos/a/b", "github", "repos", 0.0),
        ("https://wttr.in", "wttr", "weather", 0.0),
        ("http://ip-api.com/json/8.8.8.8", "ip-api", "geolocation", 0.0),
    ],
)
def test_calls_to_the_contracts_providers(url, provider, category, cents):
    assert ProviderRegistry().match(url) == MatchResult(provider, category, cents)


@pytest.mark.parametrize(
    ("url", "provider", "category"),
    [
        (
            "generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
            "google",
            "generate_content",
        ),
        (
            "generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            "google",
            "generate_content",
        ),
        ("generativelanguage.googleapis.com/v1beta/openai/chat/completions", "google", "chat_completions"),
        (
            "generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents",
            "google",
            "embeddings",
        ),
        ("generativelanguage.googleapis.com/v1beta/models", "google", "other"),
        (
            "us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/1:predict",
            "vertex",
            "predict",
        ),
        (
            "aiplatform.googleapis.com/v1/publishers/google/models/gemini-2.0-flash:countTokens",
            "vertex",
            "count_tokens",
        ),
        ("bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude/converse-stream", "bedrock", "converse"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com/model/m/invoke", "bedrock", "invoke_model"),
        ("bedrock-mantle.eu-west-1.api.aws/v1/chat/completions", "bedrock", "chat_completions"),
        ("shop.openai.azure.com/openai/deployments/gpt-4o/chat/completions", "azure", "chat_completions"),
        ("api.mistral.ai/v1/chat/completions", "mistral", "chat_completions"),
        ("api.cohere.com/v2/chat", "cohere", "chat"),
        ("api.cohere.com/v2/rerank", "cohere", "rerank"),
        ("api.groq.com/openai/v1/chat/completions", "groq", "chat_completions"),
        ("api.together.xyz/v1/chat/completions", "together", "chat_completions"),
        ("api.deepseek.com/chat/completions", "deepseek", "chat_completions"),
        ("api.x.ai/v1/chat/completions", "x-ai", "chat_completions"),
        ("openrouter.ai/api/v1/chat/completions", "openrouter", "chat_completions"),
        ("api.us.elevenlabs.io/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM", "elevenlabs", "text_to_speech"),
        ("api.deepgram.com/v1/listen", "deepgram", "audio_transcription"),
        ("api.resend.com/emails", "resend", "send_email"),
        ("api.eu.mailgun.net/v3/mg.example.com/messages", "mailgun", "send_email"),
        ("api.postmarkapp.com/email/withTemplate", "postmark", "send_email"),
        ("slack.com/api/chat.postMessage", "slack", "/api/chat.postMessage"),
        ("hooks.slack.com/services/T0/B0/x", "slack", "incoming_webhook"),
        ("app1-dsn.algolia.net/1/indexes/products/query", "algolia", "search"),
        ("api.mapbox.com/geocoding/v5/mapbox.places/x.json", "mapbox", "geocoding"),
        ("maps.googleapis.com/maps/api/geocode/json", "google_maps", "geocoding"),
        ("routes.googleapis.com/directions/v2:computeRoutes", "google_maps", "directions"),
        # What looks like one of these and is the cloud's.
        ("bucket.s3.amazonaws.com/model/x/invoke", "aws", "/model/x/invoke"),
        ("bedrock.us-east-1.amazonaws.com/foundation-models", "aws", "/foundation-models"),
        ("storage.googleapis.com/x:generateContent", "gcp", "/x:generateContent"),
    ],
)
def test_the_further_rules_come_before_the_clouds(url, provider, category):
    found = ProviderRegistry().match(f"https://{url}")
    assert found is not None
    assert (found.provider, found.endpoint_category) == (provider, category)


def test_every_rule_is_the_first_that_fits_some_url():
    """A rule behind one that takes all its calls would be dead."""
    registry = ProviderRegistry()
    for rule in registry.list():
        host = rule.host_pattern.replace("*", "some-name")
        found = registry.match_parts(host, f"{rule.path_prefix or ''}/nothing-special")
        expected = (rule.provider, rule.endpoint_category or f"{rule.path_prefix or ''}/nothing-special")
        assert found == (*expected, rule.cost_per_request_cents or 0.0), rule


def test_every_refinement_belongs_to_a_rule_and_can_be_reached():
    registry, rules = ProviderRegistry(), {rule.host_pattern: rule for rule in ProviderRegistry().list()}
    for pattern, refinements in _rules.REFINEMENTS.items():
        assert rules[pattern].path_prefix is None, pattern
        for refinement in refinements:
            found = registry.match_parts(pattern.replace("*", "some-name"), f"/a{refinement.part}")
            assert found == (rules[pattern].provider, refinement.category, refinement.cents or 0.0)


def test_every_provider_has_a_source_with_the_day_it_was_read():
    providers = {rule.provider for rule in ProviderRegistry().list()}
    assert set(_rules.SOURCES) == providers
    for source in _rules.SOURCES.values():
        assert source.url.startswith("https://")
        assert dt.date.fromisoformat(source.reviewed) >= dt.date(2026, 11, 21)
        assert source.basis
