"""Settings, URLs, views and both applications of a Django site, in one module.

Each view makes one call and answers with what recost takes for its origin.  ``/after`` says what is left of one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import httpx
import urllib3
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path

from recost.tags import current_origin
from tests.frameworks.looks_after import LooksAfter

API = os.environ["API_URL"]

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["recost.frameworks.django"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    RECOST={"route_tags": True, "flush_interval_ms": 60_000},
    ROOT_URLCONF=__name__,
    SECRET_KEY="no secret",
    USE_TZ=True,
)


def call() -> str:
    with urllib3.PoolManager() as pools:
        assert pools.request("GET", f"{API}/sync").status == 200
    return current_origin()


async def call_async() -> str:
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{API}/async")).status_code == 200
    return current_origin()


def order(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(call())


async def invoice(request: HttpRequest, number: str) -> HttpResponse:
    return HttpResponse(await call_async())


def stream(request: HttpRequest, name: str) -> StreamingHttpResponse:
    """Its call is made when the view has returned."""

    def body() -> Iterator[str]:
        yield call()

    return StreamingHttpResponse(body())


async def stream_async(request: HttpRequest, name: str) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        yield await call_async()

    return StreamingHttpResponse(body())


def broken(request: HttpRequest) -> HttpResponse:
    raise ValueError


shop = [path("orders/<int:number>/", order), re_path(r"^invoices/(?P<number>[0-9]+)/$", invoice)]
urlpatterns = [
    path("", lambda request: HttpResponse(call())),
    path("shop/", include(shop)),
    path("stream/<name>/", stream),
    path("stream-async/<name>/", stream_async),
    path("broken/", broken),
]


wsgi = LooksAfter(get_wsgi_application())
asgi = get_asgi_application()
