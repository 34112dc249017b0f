"""A Django site in one file, whose calls say which URL pattern made them.

    python examples/django_site.py runserver    # pip install "recost[django]" requests
    curl http://127.0.0.1:8000/projects/python/cpython
    recost-collector report --by tag            # one row for "projects/<owner>/<name>", however many are asked for

In a site of the usual shape two lines of its settings change: ``INSTALLED_APPS`` and ``RECOST``.
"""

from __future__ import annotations

import os
import sys

import requests
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path

URL = os.environ.get("GITHUB_URL", "https://api.github.com")

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    INSTALLED_APPS=["recost.frameworks.django"],
    RECOST={"project_id": "django", "route_tags": True},
    ROOT_URLCONF=__name__,
    SECRET_KEY="for this example only",
)


def project(request: HttpRequest, owner: str, name: str) -> JsonResponse:  # noqa: ARG001 - what Django calls it with
    response = requests.get(f"{URL}/repos/{owner}/{name}", timeout=10)
    return JsonResponse({"status": response.status_code, "stars": response.json().get("stargazers_count", 0)})


urlpatterns = [path("projects/<owner>/<name>", project)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
