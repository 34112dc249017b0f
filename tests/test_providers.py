"""The rules: the contract's table to the letter, and how they are tried."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

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


def match(url, *custom):
    return ProviderRegistry(custom).match(url)


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
    assert match(url) == MatchResult(provider, category, cents)


@pytest.mark.parametrize(
    "url",
    [
        "https://API.OpenAI.com/v1/embeddings",
        "https://api.openai.com:443/v1/embeddings",
        "https://api.openai.com./v1/embeddings",
        "https://api.openai.com.:8443/v1/embeddings?model=x#y",
        "https://user:p@ss@api.openai.com/v1/embeddings",
        "api.openai.com/v1/embeddings",
        "//api.openai.com/v1/embeddings?u=http://example.com/",
        "wss://api.openai.com/v1/embeddings",
    ],
)
def test_hosts_compare_without_case_port_trailing_dot_and_user(url):
    if url.startswith("//"):
        url = f"https:{url}"
    assert match(url) == MatchResult("openai", "embeddings", 0.01)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/v1/chat/completions",
        "https://pinecone.io/query",  # a wildcard is for subdomains
        "https://notpinecone.io/query",
        "https://x.pinecone.io.evil.com/query",
        "https://evil.com/api.openai.com/v1/embeddings",
        "https://evil.com/?https://api.openai.com/v1/embeddings",
        "https://evil.com/https://api.openai.com/v1/embeddings",
        "https://api.openai.com@evil.com/v1/embeddings",
        "https://[::1]:8080/",
        "https://[broken",
        "https://",
        "://",
        "",
        "no url",
        "\x00",
        "https://\udcff/",
    ],
)
def test_other_hosts_and_what_is_no_url_have_no_provider(url):
    assert match(url) is None


def test_custom_rules_go_first_and_in_their_order():
    mine = [
        ProviderDef("api.openai.com", "gateway", "/v1/chat", "chat", 9.0),
        ProviderDef("api.openai.com", "gateway", "/v1", "rest"),
    ]
    assert match("https://api.openai.com/v1/chat/completions", *mine) == MatchResult("gateway", "chat", 9.0)
    assert match("https://api.openai.com/v1/embeddings", *mine) == MatchResult("gateway", "rest", 0.0)
    assert match("https://api.openai.com/v2", *mine) == MatchResult("openai", "other", 1.0)
    assert match("https://api.openai.com/v1/chat", *reversed(mine)) == MatchResult("gateway", "rest", 0.0)


def test_a_custom_rule_is_never_refined():
    mine = ProviderDef("api.twilio.com", "twilio", None, "all", 7.0)
    assert match("https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json", mine) == ("twilio", "all", 7.0)


def test_a_rule_without_category_gives_the_path():
    mine = ProviderDef("internal.test", "internal")
    assert match("https://internal.test/a/7?q=1#f", mine) == MatchResult("internal", "/a/7", 0.0)
    assert match("https://internal.test", mine) == MatchResult("internal", "/", 0.0)


@pytest.mark.parametrize(
    ("pattern", "host", "fits"),
    [
        ("*.Example.COM", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", ".example.com", False),
        ("Example.com.", "example.com", True),
        ("example.com:8080", "example.com", True),
        ("127.0.0.2", "127.0.0.2:9000", True),
        ("[::1]", "[::1]:9000", True),
        ("::1", "[::1]", True),
        ("api-*.example.com", "api-eu.example.com", False),  # only `*.` in front is a pattern
        ("*example.com", "a.example.com", False),
        ("*", "a.example.com", False),
        ("", "a.example.com", False),
    ],
)
def test_what_a_custom_pattern_fits(pattern, host, fits):
    assert (match(f"http://{host}/", ProviderDef(pattern, "mine")) is not None) is fits


def test_match_parts_is_match_for_what_is_already_apart():
    registry = ProviderRegistry([ProviderDef("api.acme.test", "acme")])
    for host, path in [("api.openai.com:8443", "/v1/embeddings"), ("API.acme.test", "/x/1"), ("other.test", "/")]:
        assert registry.match_parts(host, path) == registry.match(f"https://{host}{path}")


def test_the_list_is_all_rules_in_the_order_they_are_tried():
    mine = ProviderDef("api.acme.test", "acme")
    rules = ProviderRegistry([mine]).list()
    assert rules[0] == mine
    assert [rule for rule in rules if rule in BUILTIN_PROVIDERS] == list(BUILTIN_PROVIDERS)
    assert len(rules) == 1 + len(BUILTIN_PROVIDERS) + len(_rules.FURTHER)
    rules.clear()
    assert ProviderRegistry().list()


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
    found = match(f"https://{url}")
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


def test_what_is_remembered_is_bounded_and_changes_no_answer():
    registry = ProviderRegistry()
    for i in range(10_000):
        assert registry.match(f"https://host{i}.test/{i}") is None
        assert registry.match(f"https://s3.amazonaws.com/{i}") == MatchResult("aws", f"/{i}", 0.0)
    caches: list[Any] = [registry.match_parts, registry._of_host]
    for remembered in caches:
        info = remembered.cache_info()
        assert info.currsize <= info.maxsize <= 4096


def test_threads_share_a_registry():
    registry, wrong = ProviderRegistry(), []

    def ask(number):
        for i in range(2000):
            path = f"/{number}/{i % 50}"
            if registry.match(f"https://s3.amazonaws.com{path}") != MatchResult("aws", path, 0.0):
                wrong.append(path)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
