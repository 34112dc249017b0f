from __future__ import annotations

import pytest

from recost._exclusions import Exclusions
from recost.config import resolve
from recost.event import CallEvent

CLOUD = {"api_key": "rc-0123456789abcdefghijklmnop", "project_id": "shop"}


def call(url: str) -> CallEvent:
    scheme, _, rest = url.partition("://")
    return CallEvent(0, 0, "GET", scheme, rest.partition("/")[0], "/v1", 200, 0, 0)


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
