"""Granian, a server written in Rust: spawned workers, for ASGI and WSGI."""

from __future__ import annotations

import functools

from tests.harness import free_port
from tests.servers import http_load
from tests.servers.cell import Cell
from tests.servers.http_load import ASGI, ASGI_PATHS, WSGI, WSGI_PATHS, Way

ENDINGS = {"graceful": http_load.stop, "reload": http_load.reload, "SIGKILL": http_load.kill}


def command(interface: str, app: str) -> list[str]:
    options = ["--interface", interface, "--workers", "3", "--port", str(free_port()), "--respawn-failed-workers"]
    return ["-m", "granian", *options, app]


WAYS = {
    interface: Way(
        lambda _folder, interface=interface, app=app: command(interface, app),  # type: ignore[misc]
        r"Listening at: http://127\.0\.0\.1:(\d+)",
        paths,
        kills=1,  # two of the same worker within 5.5 s are a crash loop to it, and it ends
    )
    for interface, app, paths in (("asgi", ASGI, ASGI_PATHS), ("wsgi", WSGI, WSGI_PATHS))
}
CELLS = [
    Cell(
        f"Granian {interface}",
        "spawn",
        ending,
        functools.partial(http_load.run, way=way, ending=run),
        is_fast=(interface, ending) == ("asgi", "graceful"),
    )
    for interface, way in WAYS.items()
    for ending, run in ENDINGS.items()
]
