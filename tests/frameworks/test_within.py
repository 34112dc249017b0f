"""What a call is tagged with around and after a request that was made within a request, or reached by another way."""

from __future__ import annotations

import sys

import flask
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.testclient import TestClient

from recost.frameworks.fastapi import RecostMiddleware
from recost.frameworks.flask import RecostExtension
from recost.tags import current_origin
from tests.harness import run_child


def flask_app() -> flask.Flask:
    app = flask.Flask("shop")
    RecostExtension(app, project_id="shop")

    @app.get("/inner/<name>")
    def inner(name: str) -> str:
        if name == "broken":
            raise ValueError(name)
        return current_origin()

    @app.get("/stream/<name>")
    def stream(name: str) -> flask.Response:
        return flask.Response(current_origin() for _ in range(1))

    @app.get("/outer/<path:inside>")
    def outer(inside: str) -> list[str]:
        with app.test_client().get(f"/{inside}") as answer:  # a streamed one runs until it is closed
            text = answer.get_data(as_text=True)
        return [text, current_origin()]

    return app


@pytest.mark.parametrize(
    ("inside", "told"),
    [("inner/1", "/inner/<name>"), ("stream/1", "/stream/<name>"), ("inner/broken", ""), ("nothing", "")],
)
def test_a_flask_view_keeps_its_tag_when_it_has_made_a_request_to_its_own_application(inside: str, told: str):
    def child():
        text, after = flask_app().test_client().get(f"/outer/{inside}").json
        assert after == "/outer/<path:inside>"
        assert text == told or not told
        assert current_origin() == ""

    assert run_child(child) == 0


def test_two_extensions_of_one_flask_application_leave_nothing_behind():
    def child():
        app = flask_app()
        RecostExtension(app, project_id="shop")
        assert app.test_client().get("/inner/1").text == "/inner/<name>"
        assert current_origin() == ""

    assert run_child(child) == 0


def test_a_django_view_keeps_its_tag_when_it_has_made_a_request_to_its_own_site(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("API_URL", "")

    def child():
        from django.http import HttpRequest, HttpResponse
        from django.test import Client
        from django.urls import path

        from tests.frameworks import django_site

        def inner(request: HttpRequest, name: str) -> HttpResponse:
            return HttpResponse(current_origin())

        def outer(request: HttpRequest) -> HttpResponse:
            return HttpResponse(f"{Client().get('/inner/1/').content.decode()} {current_origin()}")

        sys.modules[django_site.__name__].urlpatterns[:] = [path("inner/<name>/", inner), path("outer/", outer)]
        assert Client().get("/outer/").content == b"inner/<name>/ outer/"
        assert current_origin() == ""

    assert run_child(child) == 0


def test_a_host_route_beside_a_mount_costs_no_route_its_tag():
    async def view(request: Request) -> PlainTextResponse:
        return PlainTextResponse(current_origin())

    def child():
        inner = [Route("/orders/{order}", view)]
        app = Starlette(routes=[Host("api.example.org", app=Router(inner)), Mount("/v1", routes=inner)])
        app.add_middleware(RecostMiddleware, project_id="shop")
        assert TestClient(app).get("/v1/orders/3").text == "/v1/orders/{order}"
        assert TestClient(app, base_url="http://api.example.org").get("/orders/3").text == "/orders/{order}"

    assert run_child(child) == 0
