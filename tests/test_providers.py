"""How rules are tried: which URL is whose, the user's own first."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from recost import _rules
from recost.providers import BUILTIN_PROVIDERS, MatchResult, ProviderDef, ProviderRegistry


def match(url, *custom):
    return ProviderRegistry(custom).match(url)


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
