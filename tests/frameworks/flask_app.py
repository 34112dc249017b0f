"""Each page makes one call and answers with what recost takes for its origin. ``/after`` says what is left of one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import urllib3
from flask import Blueprint, Flask, Response, stream_with_context

from recost.frameworks.flask import RecostExtension
from recost.tags import current_origin
from tests.frameworks.looks_after import LooksAfter

API = os.environ["API_URL"]

blueprint = Blueprint("shop", __name__)


def call() -> str:
    with urllib3.PoolManager() as pools:
        assert pools.request("GET", f"{API}/sync").status == 200
    return current_origin()


@blueprint.get("/orders/<int:order>")
def order(order: int) -> str:
    return call()


@blueprint.get("/async/<name>")
async def wait(name: str) -> str:
    return call()


@blueprint.get("/stream/<name>")
def stream(name: str) -> Response:
    """Its call is made when the view has returned."""

    def body() -> Iterator[str]:
        yield call()

    return Response(body())


@blueprint.get("/stream/with-context/<name>")
def stream_in_context(name: str) -> Response:
    def body() -> Iterator[str]:
        yield call()

    return Response(stream_with_context(body()))


@blueprint.get("/broken/<name>")
def broken(name: str) -> str:
    raise ValueError(name)


extension = RecostExtension(route_tags=True, flush_interval_ms=60_000)


def create_app() -> Flask:
    app = Flask(__name__)
    app.register_blueprint(blueprint, url_prefix="/shop")
    extension.init_app(app)
    app.wsgi_app = LooksAfter(app.wsgi_app)  # type: ignore[method-assign]
    return app


app = create_app()
