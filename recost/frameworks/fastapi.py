"""FastAPI and Starlette: capture for as long as the application runs, and calls tagged with its routes.

    app.add_middleware(RecostMiddleware, api_key="rc-…", project_id="shop")

Pure ASGI.  A request costs one contextvar: its scope, out of which the route's template is read when a call is
captured.  The router writes into that same scope later, so a middleware in between that copies it hides the route.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Optional

from recost.config import Keywords, RecostConfig
from recost.frameworks._start import deprecated, need, start
from recost.handle import RecostHandle
from recost.tags import origin

if TYPE_CHECKING:
    from typing_extensions import Unpack  # 3.11 has it; no dependency at run time

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ENDED = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")


class RecostMiddleware:
    """``init()`` when the server starts, ``dispose()`` when its lifespan ends; without lifespan at exit.

    Starlette makes it when the first request or the lifespan arrives, so that is when ``ConfigError`` is raised for
    a wrong setting, and ``ImportError`` without Starlette.  Without settings it uses the program's own ``init()``.
    """

    handle: RecostHandle

    def __init__(self, app: App, config: Optional[RecostConfig] = None, **settings: Unpack[Keywords]) -> None:
        need("starlette", "fastapi")
        self.app = app
        self._config = config
        self._settings = settings
        self._is_over = False
        self.handle, self._is_own = start(config, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._restart()
            await self.app(scope, receive, functools.partial(self._send, send))
            return
        before = origin.get()
        origin.set(functools.partial(template_of, scope))
        try:
            await self.app(scope, receive, send)
        finally:
            origin.set(before)  # not by token: a request that is dropped unfinished is closed in another context

    async def _send(self, send: Send, message: Message) -> None:
        if message["type"] in ENDED and self._is_own:  # the application is through, and the server waits for this
            await self._dispose()
        await send(message)

    async def _dispose(self) -> None:
        to_thread = need("anyio.to_thread", "fastapi")
        anyio = need("anyio", "fastapi")
        self._is_over = True
        # a limiter of its own: the common one may be taken by requests that hang
        await to_thread.run_sync(self.handle.dispose, limiter=anyio.CapacityLimiter(1))

    def _restart(self) -> None:
        """A test client runs the lifespan of one application many times."""
        if self._is_over:
            self.handle, self._is_own = start(self._config, self._settings)
            self._is_over = False


class ReCost(RecostMiddleware):
    """Deprecated: the old name of ``RecostMiddleware``."""

    __init__ = deprecated(RecostMiddleware.__init__, "ReCost", "RecostMiddleware")


def template_of(scope: Scope) -> Optional[str]:
    """The template of the route that serves ``scope``, with those of the mounts above it. None before routing."""
    route = scope.get("route")
    root, root_path = scope.get("app_root_path"), scope.get("root_path", "")
    above = "" if root is None or root == root_path else _mounts(_routes(scope.get("router")), root_path[len(root) :])
    # A mount names itself a route until the application below it has routed.
    own = "" if route is None or hasattr(route, "routes") else _path(scope, route)
    return above + own or None


def _path(scope: Scope, route: Any) -> str:
    # Newer FastAPI shares the routes of an included router, and keeps what the prefix makes of them apart.
    included = scope.get("fastapi", {}).get("effective_route_context")
    if included is not None and included.original_route is route:
        route = included
    return str(route.path)


def _mounts(routes: Iterable[Any], root_path: str) -> str:
    """The templates of the mounts that the router went through to get to ``root_path``."""
    for mount in routes:
        pattern = getattr(mount, "path_regex", None)  # what goes by the host has routes and no path
        found = pattern is not None and hasattr(mount, "routes") and pattern.match(f"{root_path}/")
        if found:
            rest = found["path"].rstrip("/")
            return f"{mount.path}{_mounts(_routes(mount), f'/{rest}') if rest else ''}"
    return ""


def _routes(router: Any) -> Iterable[Any]:
    return getattr(router, "routes", None) or ()
