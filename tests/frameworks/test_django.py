"""Django under real servers, sync and async: every call delivered, with the URL pattern of its view."""

from __future__ import annotations

import pytest

from tests.processes.serving import gunicorn, serving, uvicorn
from tests.processes.support import Api, tags, wait_until_delivered, wait_until_idle

PAGES = {
    "/": "/",
    "/shop/orders/17/": "shop/orders/<int:number>/",
    "/shop/invoices/17/": "shop/invoices/(?P<number>[0-9]+)/$",
}
STREAM = {"/stream/17/": "stream/<name>/"}
ASYNC_STREAM = {"/stream-async/17/": "stream-async/<name>/"}
WSGI = "tests.frameworks.django_site:wsgi"
ASGI = uvicorn("tests.frameworks.django_site:asgi")


@pytest.mark.parametrize(
    ("arguments", "pages"),
    [(gunicorn(WSGI), {**PAGES, **STREAM}), (ASGI, {**PAGES, **ASYNC_STREAM})],
    ids=["wsgi", "asgi"],
)
def test_every_call_is_delivered_and_says_which_view_made_it(
    api: Api, arguments: tuple[str, ...], pages: dict[str, str]
):
    with serving(*arguments, API_URL=api.url) as server:
        assert {path: server.get(path) for path in pages} == pages
        server.stop()
    wait_until_delivered(api.calls)
    assert tags() == dict.fromkeys(pages.values(), 1)


def test_a_request_leaves_no_pattern_behind_on_its_thread(api: Api):
    """Whether it answered, streamed, failed or found nothing: its one thread serves others after it."""
    with serving(*gunicorn(WSGI, threads=1), API_URL=api.url) as server:
        for path, status in [*((path, 200) for path in [*PAGES, *STREAM]), ("/broken/", 500), ("/nothing/", 404)]:
            server.get(path, status)
            assert server.get("/after") == "''"
        server.stop()
    wait_until_idle()
