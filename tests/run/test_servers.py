"""Servers with several workers that know nothing of recost: every call that the API counted is in the file."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import END_S, wait_until
from tests.processes import serving
from tests.processes.support import ROOT, Api, counts, wait_for_line, wait_until_delivered
from tests.run.running import started

WORKERS = 2
APP = "tests.run.app_that_knows_nothing"

PATIENT = {
    "gunicorn": serving.PATIENT,
    "uvicorn": ("--timeout-worker-healthcheck", "60"),
}
"""A worker on a busy machine is not killed for it."""


def ask(port: int) -> bytes:
    """The pid of the worker that answered; nothing while nobody does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=END_S)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    except OSError:
        return b""
    finally:
        connection.close()


def ask_until_all_have_answered(port: int) -> None:
    pids: set[bytes] = set()

    def more() -> bool:
        pids.add(ask(port))
        return len(pids - {b""}) >= WORKERS

    wait_until(more, what=f"answers of {WORKERS} workers")


def port_of(server: subprocess.Popen[str]) -> int:
    return int(wait_for_line(server.stderr, r"http://127\.0\.0\.1:(\d+)")[1])


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn(api: Api, preload: list[str]):
    """Its console script, found on the PATH, as a deployment has it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["gunicorn", "--chdir", str(ROOT), "-w", str(WORKERS), *PATIENT["gunicorn"], *preload]
    with started(*command, "-b", "127.0.0.1:0", f"{APP}:wsgi", PATH=path, API_URL=api.url) as server:
        ask_until_all_have_answered(port_of(server))
        server.terminate()
        _, errors = server.communicate(timeout=END_S)
    assert server.returncode == 0, errors
    wait_until_delivered(api.calls)
    assert set(counts()) == {"/wsgi"}


def test_uvicorn_whose_workers_are_spawned(api: Api):
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--workers", str(WORKERS), "--port", "0"]
    quiet = "--no-access-log"  # nobody reads what is said until it has ended
    with started(*command, *PATIENT["uvicorn"], quiet, f"{APP}:asgi", API_URL=api.url) as server:
        ask_until_all_have_answered(port_of(server))
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=END_S)
    assert "Traceback" not in errors
    wait_until_delivered(api.calls)
    assert set(counts()) == {"/asgi"}
