"""The environment that programs of the suite are given: nothing of the machine's that changes what they do."""

from __future__ import annotations

from collections.abc import Mapping

FOREIGN = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Settings of the machine that travel with a session."""


def is_foreign(name: str) -> bool:
    """Settings of its own recost, of its proxies, of its certificates."""
    return name.startswith("RECOST_") or name.lower().endswith("_proxy") or name in FOREIGN


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """All else."""
    return {name: value for name, value in environ.items() if not is_foreign(name)}
