"""uWSGI: forked from a master that has loaded the application, or each worker loading it; with threads and without.

Two releases: the newest, where Python's threads always run, and the last line in which they do with
``--enable-threads`` only.  Both are programs that embed Python, so ``sys.executable`` is none; ``scripts/matrix``
builds them.  Where it could not, ``pyuwsgi`` stands in for the newest: the same, as a module of a Python.  Without
the fork hooks Python is not told of a fork.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.harness import free_port
from tests.processes.support import ROOT
from tests.servers import http_load
from tests.servers.cell import Cell, Counts, Unavailable
from tests.servers.http_load import WSGI, WSGI_PATHS, Server, Way

OLDER = "2.0.23"
BUILT = ROOT / ".cache"
"""``uwsgi-VERSION``, each with what ``pip install --prefix`` makes of it; ``uwsgi`` is the newest."""
HOOKS = {"py-call-uwsgi-fork-hooks": "true"}
THREADS = {"enable-threads": "true"}
LAZY = {"lazy-apps": "true"}
FIFO = "fifo"
ENDINGS = {"graceful": http_load.stop, "reload": http_load.reload, "SIGKILL": http_load.kill}


class Kind(NamedTuple):
    server: str
    mode: str
    options: dict[str, str]


NEWEST = "uWSGI, threads always on"
KINDS = [
    Kind(NEWEST, "prefork", {}),
    Kind(NEWEST, "prefork, fork hooks", HOOKS),
    Kind(NEWEST, "lazy-apps", LAZY),
    Kind(f"uWSGI {OLDER}", "prefork", {}),
    Kind(f"uWSGI {OLDER}", "prefork, --enable-threads", THREADS),
    Kind(f"uWSGI {OLDER}", "prefork, fork hooks", HOOKS),
    Kind(f"uWSGI {OLDER}", "prefork, --enable-threads, fork hooks", {**THREADS, **HOOKS}),
    Kind(f"uWSGI {OLDER}", "lazy-apps", LAZY),
    Kind(f"uWSGI {OLDER}", "lazy-apps, --enable-threads", {**LAZY, **THREADS}),
]


def program(server: str = NEWEST) -> str:
    """Empty when there is none."""
    places = [BUILT / f"uwsgi-{OLDER}"] if server != NEWEST else [BUILT / "uwsgi", Path(sys.executable).parent.parent]
    found = (place / "bin" / "uwsgi" for place in places)
    return next((str(path) for path in found if os.access(path, os.X_OK)), "")


def newest_version() -> str:
    if not program():
        return "none"
    run = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def configuration(folder: Path, options: dict[str, str]) -> list[str | Path]:
    every = {
        "http-socket": f"127.0.0.1:{free_port()}",  # not 0: after a reload it would be another one
        "master": "true",
        "master-fifo": str(folder / FIFO),
        "processes": "3",
        "virtualenv": sys.prefix,
        "module": WSGI,
        "need-app": "true",
        "disable-logging": "true",
        **options,
    }
    file = folder / "uwsgi.ini"
    file.write_text("\n".join(["[uwsgi]", *(f"{name} = {value}" for name, value in every.items()), ""]))
    return [file]


def ask_to_stop(server: Server) -> None:
    """What a uWSGI does on SIGTERM is not graceful."""
    (server.folder.path / FIFO).write_text("q")


def run(path: Path, *, kind: Kind, ending: str) -> Counts:
    if not program(kind.server):
        raise Unavailable("could not be built: no compiler, or no headers of Python")
    way = Way(
        functools.partial(configuration, options=kind.options),
        r"bound to TCP address 127\.0\.0\.1:(\d+)",
        WSGI_PATHS,
        executable=program(kind.server),
        stop=ask_to_stop,
    )
    return http_load.run(path, way=way, ending=ENDINGS[ending])


CELLS = [
    Cell(
        kind.server,
        kind.mode,
        ending,
        functools.partial(run, kind=kind, ending=ending),
        is_fast=(kind, ending) == (KINDS[0], "SIGKILL"),
    )
    for kind in KINDS
    for ending in ENDINGS
]
