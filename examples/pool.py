"""A pool of processes that call an API; one file accounts for all of them, whatever the start method.

    python examples/pool.py spawn
    recost-collector report

The helper sends this process's config to children that do not inherit it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys

import requests

import recost
from recost.workers.multiprocessing import Pool

URL = os.environ.get("GITHUB_URL", "https://api.github.com")
PROJECTS = ("python/cpython", "psf/requests", "encode/httpx", "urllib3/urllib3", "aio-libs/aiohttp")


def stars(project: str) -> tuple[str, int]:
    response = requests.get(f"{URL}/repos/{project}", timeout=10)
    return project, response.json().get("stargazers_count", 0) if response.ok else 0


def main(method: str) -> None:
    recost.init(project_id="pool")
    with Pool(4, context=multiprocessing.get_context(method)) as pool:
        for project, count in pool.imap_unordered(stars, PROJECTS):
            print(f"{project:20} {count:>8,} stars")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "spawn")
