"""A script that says what each of its steps costs.

python examples/script.py
recost-collector report --by tag
"""

from __future__ import annotations

import os

import requests

import recost

URL = os.environ.get("GITHUB_URL", "https://api.github.com")

recost.init(project_id="script")


@recost.feature_tag("stars")
def stars(project: str) -> int:
    response = requests.get(f"{URL}/repos/{project}", timeout=10)
    return response.json().get("stargazers_count", 0) if response.ok else 0


if __name__ == "__main__":
    for project in ("python/cpython", "psf/requests"):
        print(f"{project:20} {stars(project):>8,} stars")
    with recost.feature_tag("search"):
        requests.get(f"{URL}/search/repositories", params={"q": "cost"}, timeout=10)
    # What is left is delivered at exit.  A script that must know asks:
    print("settled:", recost.flush(5.0))
