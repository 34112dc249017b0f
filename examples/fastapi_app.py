"""A FastAPI application whose calls say which route made them.

uvicorn examples.fastapi_app:app        # pip install "recost[fastapi]" uvicorn httpx
curl http://127.0.0.1:8000/projects/python/cpython
recost-collector report --by tag        # one row for "/projects/{owner}/{name}", however many projects are asked for
"""

from __future__ import annotations

import os

import httpx
from fastapi import FastAPI

from recost.frameworks.fastapi import RecostMiddleware

URL = os.environ.get("GITHUB_URL", "https://api.github.com")

app = FastAPI()
app.add_middleware(RecostMiddleware, project_id="fastapi", route_tags=True)


@app.get("/projects/{owner}/{name}")
async def project(owner: str, name: str) -> dict[str, int]:
    async with httpx.AsyncClient(base_url=URL, timeout=10) as github:
        response = await github.get(f"/repos/{owner}/{name}")
    return {"status": response.status_code, "stars": response.json().get("stargazers_count", 0)}
