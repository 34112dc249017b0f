"""A worker beside the help desk's: it tags its calls, and tells what its LLM calls used."""

from __future__ import annotations

import json
import os
import random
import time

import requests

import recost
from examples.helpdesk.providers import VARIABLE, base_urls, rules_for

MODELS = (("openai", "gpt-4o-mini"), ("openai", "gpt-4o"), ("anthropic", "claude-3-5-haiku-20241022"))
TAGS = ("triage", "reply", "search")


def main() -> None:
    recost.init(project_id="helpdesk", custom_providers=rules_for(base_urls()))
    urls, chance = json.loads(os.environ[VARIABLE]), random.Random(7)
    while True:
        tag, (provider, model) = chance.choice(TAGS), chance.choice(MODELS)
        with recost.feature_tag(tag):
            requests.post(f"{urls['openai']}/v1/embeddings", json={"input": "hello"}, timeout=10)
        prompt, completion = chance.randrange(200, 4000), chance.randrange(50, 800)
        usage = {"prompt_tokens": prompt, "completion_tokens": completion}
        cost = recost.estimate_cost(provider, model, usage)
        recost.track(provider, model, prompt, completion, cost, chance.lognormvariate(6.6, 0.4), feature_tag=tag)
        time.sleep(chance.random() * 0.2)


if __name__ == "__main__":
    main()
