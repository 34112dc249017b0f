"""A Flask application whose calls say which URL rule made them.

flask --app examples/flask_app.py run   # pip install "recost[flask]" requests
curl http://127.0.0.1:5000/projects/python/cpython
recost-collector report --by tag        # one row for "/projects/<owner>/<name>", however many projects are asked for
"""

from __future__ import annotations

import os

import requests
from flask import Flask

from recost.frameworks.flask import RecostExtension

URL = os.environ.get("GITHUB_URL", "https://api.github.com")

extension = RecostExtension(project_id="flask", route_tags=True)


def create_app() -> Flask:
    app = Flask(__name__)
    extension.init_app(app)
    app.add_url_rule("/projects/<owner>/<name>", view_func=project)
    return app


def project(owner: str, name: str) -> dict[str, int]:
    response = requests.get(f"{URL}/repos/{owner}/{name}", timeout=10)
    return {"status": response.status_code, "stars": response.json().get("stargazers_count", 0)}
