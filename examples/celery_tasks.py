"""Celery tasks whose calls say which task made them; a folder serves as broker, so no server is needed.

celery -A examples.celery_tasks worker          # pip install "recost[celery]" requests
celery -A examples.celery_tasks call examples.celery_tasks.count_stars --args '["python/cpython"]'
recost-collector report --by tag                # one row for "examples.celery_tasks.count_stars"
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import requests
from celery import Celery

from recost.frameworks import celery as recost_celery

URL = os.environ.get("GITHUB_URL", "https://api.github.com")
QUEUE = Path(os.environ.get("QUEUE_FOLDER", f"{tempfile.gettempdir()}/recost-example-queue"))

recost_celery.connect(project_id="celery", route_tags=True)

app = Celery(__name__, broker="filesystem://")
folders = {"data_folder_in": QUEUE / "in", "data_folder_out": QUEUE / "in", "control_folder": QUEUE / "control"}
for folder in folders.values():
    folder.mkdir(parents=True, exist_ok=True)
app.conf.broker_transport_options = {name: str(folder) for name, folder in folders.items()}


@app.task  # type: ignore[untyped-decorator]  # Celery has no types
def count_stars(project: str) -> int:
    response = requests.get(f"{URL}/repos/{project}", timeout=10)
    return int(response.json().get("stargazers_count", 0))
