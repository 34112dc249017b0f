"""Where the help desk's providers are: on loopback, each with the name, categories and prices of the real one.

``HELPDESK_PROVIDERS`` says where, as JSON: ``{"openai": "http://127.0.0.2:8001", …}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from examples.standins import PROVIDERS
from recost import ProviderDef, ProviderRegistry

VARIABLE = "HELPDESK_PROVIDERS"
ACCOUNT = f"AC{0:032}"

PATHS = {
    "openai": ("/v1/chat/completions", "/v1/embeddings"),
    "anthropic": ("/v1/messages",),
    "stripe": ("/v1/charges", "/v1/customers"),
    "twilio": (f"/2010-04-01/Accounts/{ACCOUNT}/Messages", f"/2010-04-01/Accounts/{ACCOUNT}/Calls"),
    "github": ("/repos", "/users", "/search"),
}
"""What the help desk calls; a path here is the beginning of one."""


def base_urls() -> dict[str, str]:
    """``http://host:port`` by provider."""
    try:
        urls: dict[str, str] = json.loads(os.environ[VARIABLE])
    except KeyError:
        hint = "scripts/demo sets it; `python -m examples.standins --json` prints what it may be, as `providers`"
        raise LookupError(f"{VARIABLE} is not set: {hint}") from None
    return urls


def rules_for(urls: Mapping[str, str]) -> list[ProviderDef]:
    """Rules for ``custom_providers``: what recost says of the real host, said of the address that stands in for it."""
    real_hosts = {provider.name: provider.real_host for provider in PROVIDERS}
    real = ProviderRegistry()
    rules = []
    for name, url in urls.items():
        for path in (*PATHS[name], None):  # None: the rule for all else goes last
            found = real.match(f"https://{real_hosts[name]}{path or '/'}")
            if found is None:
                raise LookupError(f"recost has no rule for {real_hosts[name]}")
            rules.append(ProviderDef(urlsplit(url).hostname or "", found.provider, path, *found[1:]))
    return rules
