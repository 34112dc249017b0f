"""The help desk's pages. With recost they have in common ``init()``, a line for each SDK, and the name of a feature.

Under a server that preloads, ``init()`` runs once, before the fork; a worker makes what it needs with its first call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import recost
from examples.helpdesk import calls
from examples.helpdesk.providers import base_urls, rules_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

handle = recost.init(project_id="helpdesk", custom_providers=rules_for(base_urls()))
recost.patch_openai()
recost.patch_anthropic()

QUESTION = "Why does my import fail? " * 4


def bill() -> list[int]:
    return [calls.add_customer("ada@example.org"), calls.charge(1900)]


def notify() -> list[int]:
    return [calls.send_sms("Your ticket was answered."), calls.ring_up()]


def look_up() -> list[int]:
    return asyncio.run(_look_up())


def summarize() -> list[int]:
    return [calls.search_code("import hooks"), calls.write_summary(QUESTION)]


@recost.feature_tag("advice")
def advise() -> list[int]:
    return [calls.advise(QUESTION), calls.translate(QUESTION)]


def answer() -> Iterator[bytes]:
    """The provider's streamed answer, handed through as it comes."""
    response = calls.open_chat(QUESTION)
    try:
        yield from response.iter_bytes()
    finally:
        response.close()


async def _look_up() -> list[int]:
    embedded, summarized, read = await asyncio.gather(
        calls.embed(QUESTION), calls.stream_summary(QUESTION), calls.read_github("/repos/python/cpython", "/users/ada")
    )
    return [embedded, summarized, *read]


PAGES: dict[str, Callable[[], list[int]]] = {
    "/bill": bill,
    "/notify": notify,
    "/look-up": look_up,
    "/summarize": summarize,
    "/advise": advise,
}
"""Each gives the statuses of the calls that it made."""


def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/answer":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return answer()
    page = PAGES.get(path)
    if page is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [f"want one of {', '.join([*PAGES, '/answer'])}\n".encode()]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(page()).encode()]
