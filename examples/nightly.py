"""A job that knows nothing of recost.

RECOST_PROJECT_ID=nightly recost-run python examples/nightly.py
recost-collector report
"""

from __future__ import annotations

import os

import requests

URL = os.environ.get("GITHUB_URL", "https://api.github.com")

if __name__ == "__main__":
    answer = requests.get(f"{URL}/repos/python/cpython", timeout=10)
    print(answer.json().get("stargazers_count", 0) if answer.ok else answer.status_code)
