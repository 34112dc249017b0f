"""The one name a provider goes by, whatever a library calls it. Pure.

The names are those of the rules that match hosts; where the price table counts differently, ``PRICED_AS`` says so.
"""

from __future__ import annotations

SELF_HOSTED = "self_hosted"
"""A server of one's own: its calls cost 0, and that is no gap in the prices."""

ALIASES = {
    "amazon-bedrock": "bedrock",
    "anthropic-claude": "anthropic",
    "aws-bedrock": "bedrock",
    "aws.bedrock": "bedrock",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure-ai": "azure",
    "azure-openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azureopenai": "azure",
    "bedrock-converse": "bedrock",
    "claude": "anthropic",
    "cohere-ai": "cohere",
    "deepseek-ai": "deepseek",
    "fireworks-ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.gen-ai": "google",
    "gcp.vertex-ai": "vertex",
    "gemini": "google",
    "google-ai": "google",
    "google-ai-studio": "google",
    "google-genai": "google",
    "google-gla": "google",
    "google-vertex": "vertex",
    "google-vertexai": "vertex",
    "googleai": "google",
    "grok": "x-ai",
    "mistral-ai": "mistral",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "novita-ai": "novita",
    "open-router": "openrouter",
    "openai-chat": "openai",
    "openai-responses": "openai",
    "self-hosted": SELF_HOSTED,
    "together-ai": "together",
    "together.ai": "together",
    "togetherai": "together",
    "vertex-ai": "vertex",
    "vertexai": "vertex",
    "voyage": "voyageai",
    "voyage-ai": "voyageai",
    "x.ai": "x-ai",
    "xai": "x-ai",
    "z-ai": "zai",
    "z.ai": "zai",
}
"""Lower case, ``-`` for ``_`` and for spaces."""

PRICED_AS = {"bedrock": "aws", "vertex": "google"}


def canonical(provider: str) -> str:
    """The provider's one name; a name that no alias stands for in lower case."""
    name = provider.strip().lower()
    return ALIASES.get(name.replace("_", "-").replace(" ", "-"), name)
