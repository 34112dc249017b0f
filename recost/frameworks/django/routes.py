"""Calls tagged with the URL pattern of the view that makes them: one contextvar per request, which holds the request.

The app adds the middleware by itself, in front of all others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Optional

from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware

from recost.frameworks._running import Running, end_here


@sync_and_async_middleware  # type: ignore[untyped-decorator]  # Django has no types
def middleware(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """In front of sync and of async views, without a thread between them."""

    def enter(request: Any) -> Any:
        running = Running(functools.partial(route_of, request))
        try:
            return get_response(request)
        except BaseException:  # not an error of a view, of which Django makes a response
            running.end()
            raise

    async def enter_async(request: Any) -> Any:
        running = Running(functools.partial(route_of, request))
        try:
            return await get_response(request)
        except BaseException:
            running.end()
            raise

    return enter_async if iscoroutinefunction(get_response) else enter


def leave(**_: object) -> None:
    """When the response is closed: a streamed one makes calls until then."""
    end_here()


def route_of(request: Any) -> Optional[str]:
    """The pattern, as written in ``urls.py`` and what it includes; ``/`` for the empty one. None before routing."""
    match = getattr(request, "resolver_match", None)
    return None if match is None else match.route or "/"
