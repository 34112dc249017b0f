"""Hypercorn: spawned workers. With one that was killed it ends all of them, and itself."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import Callable

from tests.servers import http_load
from tests.servers.cell import Cell
from tests.servers.http_load import ASGI, ASGI_PATHS, Server, Way

WORKERS = Way(
    lambda _folder: ["-m", "hypercorn", "-b", "127.0.0.1:0", "-w", "3", ASGI],
    r"Running on http://127\.0\.0\.1:(\d+)",
    ASGI_PATHS,
)


def reloading(folder: Path) -> list[str]:
    return ["-m", "hypercorn", "-b", "127.0.0.1:0", "-w", "3", "--reload", http_load.own_module(folder, ASGI)]


RELOAD = WORKERS._replace(command=reloading, reload=http_load.change_module)


def kill(server: Server) -> None:
    """One worker amid a call; the others are ended with it, whatever they are at."""
    os.kill(server.hold(), signal.SIGKILL)
    server.wait_for_exit()
    server.killed.update(server.api.by_worker)


def cell(ending: str, way: Way, run: Callable[[Server], None], mode: str = "spawn", *, is_fast: bool = False) -> Cell:
    return Cell("Hypercorn", mode, ending, functools.partial(http_load.run, way=way, ending=run), is_fast)


CELLS = [
    cell("graceful", WORKERS, http_load.stop, is_fast=True),
    cell("reload", WORKERS, http_load.reload),
    cell("SIGKILL", WORKERS._replace(codes=(0, 1, -signal.SIGKILL)), kill),
    cell("reload", RELOAD, http_load.reload, "--reload"),
]
