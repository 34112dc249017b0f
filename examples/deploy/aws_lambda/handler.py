"""AWS Lambda: the collector is a thread of the function, and each invocation delivers before it returns.

Lambda freezes the process when the handler has returned and ends it without a word, so nothing is done later.  It has
no shared memory, nothing that can be written but ``/tmp``, and no home; see ``template.yaml`` for the settings.
"""

from __future__ import annotations

import json
import os
from typing import Any

import urllib3

import recost

FLUSH_S = 2.0

recost.init(collector="thread")  # once per environment, not per invocation
http = urllib3.PoolManager(timeout=10.0, retries=False)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - the shape that Lambda calls
    base_url = os.environ.get("GITHUB_URL", "https://api.github.com")
    try:
        with recost.feature_tag("stars"):
            answer = http.request("GET", f"{base_url}/repos/{event['repository']}")
        return {"status": answer.status, "stars": json.loads(answer.data).get("stargazers_count")}
    finally:
        recost.flush(FLUSH_S)  # at most so long; what is not there then goes out with the next invocation
