"""uvicorn's own workers, which are spawned, and its ``--reload``."""

from __future__ import annotations

import functools
import signal
from pathlib import Path
from typing import Callable

from tests.servers import http_load
from tests.servers.cell import Cell
from tests.servers.http_load import ASGI, ASGI_PATHS, Server, Way

PATIENT = ["--timeout-worker-healthcheck", "60"]
"""On a busy machine its 5 s are too short: a worker that starts longer is none to it, and a reload ends half-way."""
LISTENING = r"Uvicorn running on http://127\.0\.0\.1:(\d+)"
WORKERS = Way(
    lambda _folder: ["-m", "uvicorn", "--port", "0", "--workers", "3", *PATIENT, ASGI],
    LISTENING,
    ASGI_PATHS,
    codes=(0, -signal.SIGTERM),
)


def reloading(folder: Path) -> list[str]:
    return ["-m", "uvicorn", "--port", "0", "--reload", "--reload-dir", str(folder), http_load.own_module(folder, ASGI)]


RELOAD = WORKERS._replace(command=reloading, workers=1, reload=http_load.change_module)


def cell(ending: str, way: Way, run: Callable[[Server], None], mode: str = "spawn", *, is_fast: bool = False) -> Cell:
    return Cell("uvicorn", mode, ending, functools.partial(http_load.run, way=way, ending=run), is_fast)


CELLS = [
    cell("graceful", WORKERS, http_load.stop, is_fast=True),
    cell("reload", WORKERS, http_load.reload),
    cell("SIGKILL", WORKERS, http_load.kill),
    cell("reload", RELOAD, http_load.reload, "--reload"),
]
