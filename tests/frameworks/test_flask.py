"""Flask under real servers: every call delivered, with the URL rule of its request."""

from __future__ import annotations

import signal

import pytest

from tests.processes.serving import gunicorn, serving
from tests.processes.support import Api, counts, tags, wait_until_idle

PAGES = {
    "/shop/orders/17": "/shop/orders/<int:order>",
    "/shop/async/17": "/shop/async/<name>",
    "/shop/stream/17": "/shop/stream/<name>",
    "/shop/stream/with-context/17": "/shop/stream/with-context/<name>",
}
WERKZEUG = ("-m", "flask", "--app", "tests.frameworks.flask_app", "run", "--port", "0")
APP = "tests.frameworks.flask_app:app"


@pytest.mark.parametrize(
    ("arguments", "stop"), [(gunicorn(APP), signal.SIGTERM), (WERKZEUG, signal.SIGINT)], ids=["gunicorn", "werkzeug"]
)
def test_every_call_is_delivered_when_the_server_stops_and_says_which_rule_made_it(
    api: Api, arguments: tuple[str, ...], stop: int
):
    """Not Gunicorn by Ctrl-C: its handler shuts the threads' pool down amid a submit to it, and waits for itself."""
    with serving(*arguments, API_URL=api.url) as server:
        assert {path: server.get(path) for path in PAGES} == PAGES
        output = server.stop(stop)
    assert counts() == {"/sync": 4}, output  # by now: exit has waited for it
    assert api.calls == 4
    wait_until_idle()
    assert tags() == dict.fromkeys(PAGES.values(), 1)


def test_a_request_leaves_no_rule_behind_on_its_thread(api: Api):
    """Whether it answered, streamed, failed or found nothing: its one thread serves others after it."""
    with serving(*gunicorn(APP, threads=1), API_URL=api.url) as server:
        for path, status in [*((path, 200) for path in PAGES), ("/shop/broken/17", 500), ("/nothing", 404)]:
            server.get(path, status)
            assert server.get("/after") == "''"
        server.stop()
    wait_until_idle()
