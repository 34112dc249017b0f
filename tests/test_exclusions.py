from __future__ import annotations

from unicodedata import normalize
from urllib.parse import urlsplit

import pytest
import requests

from recost import ProviderDef, ProviderRegistry
from recost._exclusions import Exclusions
from recost.config import resolve
from recost.event import CallEvent

CLOUD = {"api_key": "rc-0123456789abcdefghijklmnop", "project_id": "shop"}


def call(url: str) -> CallEvent:
    scheme, _, rest = url.partition("://")
    netloc, _, path = rest.partition("/")
    return CallEvent(0, 0, "GET", scheme, netloc, f"/{path}", 200, 0, 0)


@pytest.mark.parametrize(
    ("base_url", "own", "others"),
    [
        (
            "https://api.recost.dev",
            ["https://api.recost.dev", "wss://api.recost.dev", "http://api.recost.dev", "https://api.recost.dev:8443"],
            ["https://recost.dev", "https://api.recost.dev.example"],
        ),
        (
            "http://localhost:4100",
            ["http://127.0.0.1:4100", "https://localhost:4100", "http://localhost:11434", "http://127.0.0.1"],
            ["http://[::1]:4100", "http://127.0.0.2:4100"],
        ),
        ("http://[::1]:4100", ["http://[::1]:4100", "http://[::1]:4101", "http://[::1]"], ["http://localhost:4100"]),
    ],
)
def test_own_traffic_is_that_to_the_host_of_the_base_url(base_url, own, others):
    """On every port; localhost and 127.0.0.1 stand for each other."""
    excluded = Exclusions(resolve(None, {**CLOUD, "base_url": base_url}, {}))

    for _ in range(2):  # the second time from memory
        assert [url for url in own + others if excluded(call(url))] == own


HOSTS = ["münchen.example", "MÜNCHEN.Example.", "mu\u0308nchen.example", "straße.example", "日本.example"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_in_any_alphabet_is_known_by_what_clients_make_of_it(host):
    """Whoever writes it by its name means it as well; no client sends, or tells us, anything but ASCII."""
    url = f"https://{normalize('NFC', host)}/"  # clients refuse the other form, editors of settings may write it
    sent = urlsplit(str(requests.Request("GET", url).prepare().url)).hostname
    rules = [ProviderDef(f"*.{host}", "ours")]
    settings = resolve(None, {"exclude_hosts": [host], "custom_providers": rules}, {})

    assert Exclusions(settings)(call(f"https://{sent}/v1"))
    assert not Exclusions(settings)(call(f"https://api.{sent}/v1"))
    for registry in (ProviderRegistry(rules), ProviderRegistry(settings.custom_providers)):
        found = [registry.match(f"https://api.{name}/v1") for name in (sent, host)]
        assert [match is not None and match.provider for match in found] == ["ours", "ours"]


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("API.Acme.example", ["https://api.acme.example/v1", "http://api.acme.example:8080/v1"]),
        ("acme", ["https://api.acme.example/v1", "http://api.acme.example:8080/v1", "https://b.example/acme"]),
        ("ACME", ["https://api.acme.example/v1", "http://api.acme.example:8080/v1"]),
        ("/Acme", []),
    ],
)
def test_a_pattern_is_a_piece_of_the_url_with_its_case_or_of_the_host_which_has_none(pattern, left_out):
    excluded = Exclusions(resolve(None, {**CLOUD, "exclude_patterns": [pattern]}, {}))
    urls = ["https://api.acme.example/v1", "http://api.acme.example:8080/v1", "https://b.example/acme"]

    assert [url for url in urls if excluded(call(url))] == left_out
