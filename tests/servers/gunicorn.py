"""Gunicorn: worker classes, preloaded or not; and the other ways in which a worker ends there."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from tests.processes.support import ROOT
from tests.servers import http_load
from tests.servers.cell import Cell, Counts, Unavailable
from tests.servers.http_load import ASGI, ASGI_PATHS, WSGI, WSGI_PATHS, Server, Way
from tests.unprivileged import NOBODY

UVICORN = "uvicorn_worker.UvicornWorker"
KINDS: dict[str, Sequence[str]] = {
    "sync": [],
    "gthread": ["--threads", "4"],
    "gevent": [],
    "uvicorn worker": [],
}
FAST = {("gthread", "preload", "SIGKILL")}


def way(kind: str, *options: str, app: str = "") -> Way:
    is_asgi = kind == "uvicorn worker"
    target = app or (ASGI if is_asgi else WSGI)

    def command(folder: Path) -> list[str]:
        module = http_load.own_module(folder, target) if "--reload" in options else target
        worker = UVICORN if is_asgi else kind
        return ["-m", "gunicorn", "-b", "127.0.0.1:0", "-w", "3", "-k", worker, *KINDS[kind], *options, module]

    return Way(command, r"Listening at: http://127\.0\.0\.1:(\d+)", ASGI_PATHS if is_asgi else WSGI_PATHS)


def hang(server: Server) -> None:
    """A call hangs: the arbiter ends its worker with SIGABRT, and starts another one."""
    victim = server.hold()
    server.killed.add(victim)
    before = frozenset(server.answered)
    server.wait_for(lambda: f"WORKER TIMEOUT (pid:{victim})" in server.folder.output(), "the arbiter")
    server.wait_for(lambda: server.answered.keys() - before, "an answer of the next worker")
    server.stop()


def wait_for_replacements(_server: Server) -> None:
    """Nothing to be done: each worker ends by itself."""


def stays(_path: Path) -> Counts:
    raise Unavailable("a uvicorn worker says that it reloads, and does not end")


def as_nobody(path: Path) -> Counts:
    """Started by root; its workers are ``nobody``, who has folders of his own."""
    if os.geteuid() != 0:
        raise Unavailable("only root can become somebody else")
    python, paths = python_for_all()
    path.chmod(0o711)
    dropping = way("sync", "--user", "nobody", "--group", str(NOBODY))._replace(
        executable=python, environ={"PYTHONPATH": os.pathsep.join(paths)}, prepare=give_away
    )
    return http_load.run(path, way=dropping, ending=http_load.kill)


def give_away(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.chown(path, NOBODY, NOBODY)


def python_for_all() -> tuple[str, list[str]]:
    """A Python of this version that everybody can run, and where it imports from: this one may be in a private home."""
    paths = [str(ROOT), str(ROOT / "collector"), sysconfig.get_path("purelib")]
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (os.path.realpath(sys.executable), f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        if can_import([python, "-c", "import recost_collector, gunicorn, requests"], paths):
            return python, paths
    raise Unavailable(f"nobody can run no {name}")


def can_import(command: list[str], paths: list[str]) -> bool:
    try:
        run = subprocess.run(
            command,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
            env={"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return run.returncode == 0


def cell(kind: str, mode: str, ending: str, under: Way, run: Callable[[Server], None]) -> Cell:
    whole = functools.partial(http_load.run, way=under, ending=run)
    return Cell(f"Gunicorn {kind}", mode, ending, whole, is_fast=(kind, mode, ending) in FAST)


def cells(kind: str, mode: str, *options: str) -> list[Cell]:
    under = way(kind, *options)
    quota = way(kind, *options, "--max-requests", "50")._replace(reload=wait_for_replacements)
    found = [
        cell(kind, mode, "graceful", under, http_load.stop),
        cell(kind, mode, "reload", under, http_load.reload),
        cell(kind, mode, "SIGKILL", under, http_load.kill),
        cell(kind, mode, "max_requests", quota, http_load.reload),
    ]
    if kind == "sync":  # with the others a request that hangs does not keep a worker from saying that it lives
        found.append(cell(kind, mode, "timeout", way(kind, *options, "--timeout", "3"), hang))
    if mode == "fork" and kind == "uvicorn worker":
        found.append(Cell(f"Gunicorn {kind}", mode, "--reload", stays))
    elif mode == "fork":
        changed = way(kind, "--reload")._replace(reload=http_load.change_module)
        found.append(cell(kind, mode, "--reload", changed, http_load.reload))
    return found


CELLS = [found for kind in KINDS for found in [*cells(kind, "fork"), *cells(kind, "preload", "--preload")]]
CELLS.append(Cell("Gunicorn sync", "fork, user=nobody", "SIGKILL", as_nobody))
