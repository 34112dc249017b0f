"""Servers that stand in for the real ones, in the demo and in the tests: a few providers, and the recost service.

They need nothing but the standard library, listen on loopback only, and count what they are asked::

    with ProviderStandIn() as providers:
        requests.post(providers.url("openai") + "/v1/embeddings", json={"input": "hello"})
        providers.counts()  # {("openai", "/v1/embeddings", 200): 1}

    with CloudStandIn(keys={"rc-demo"}) as cloud:
        cloud.answers.extend([503, Scripted(429, retry_after="3")])  # then as usual
        ...
        cloud.unique_windows()

From a shell: ``python -m examples.standins --help``.
"""

from __future__ import annotations

from examples.standins.cloud import CloudStandIn, Received, Scripted
from examples.standins.providers import PROVIDERS, Provider, ProviderStandIn

__all__ = ["PROVIDERS", "CloudStandIn", "Provider", "ProviderStandIn", "Received", "Scripted"]
