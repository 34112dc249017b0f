"""Servers with several workers that know nothing of recost: every call that the API counted is in the file."""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import free_port, wait_until
from tests.processes.support import ROOT, Api, counts, wait_until_delivered
from tests.run.running import started

WORKERS = 2
APP = "tests.run.app_that_knows_nothing"

needs_uvicorn = pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="uvicorn is not installed")


def ask(port: int) -> bytes:
    """The pid of the worker that answered; nothing while nobody does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
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
        return len(pids - {b""}) == WORKERS

    wait_until(more, 40, f"answers of {WORKERS} workers")


def port_of(server: subprocess.Popen[str]) -> int:
    assert server.stderr is not None
    said = ""
    for line in server.stderr:
        said += line
        if found := re.search(r"Listening at: http://127.0.0.1:(\d+)", line):
            return int(found[1])
    raise AssertionError(said)


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn(api: Api, preload: list[str]):
    """Its console script, found on the PATH, as a deployment has it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["gunicorn", "--chdir", str(ROOT), "-w", str(WORKERS), "-b", "127.0.0.1:0", *preload, f"{APP}:wsgi"]
    with started(*command, PATH=path, API_URL=api.url) as server:
        ask_until_all_have_answered(port_of(server))
        server.terminate()
        _, errors = server.communicate(timeout=30)
    assert server.returncode == 0, errors
    wait_until_delivered(api.calls)
    assert set(counts()) == {"/wsgi"}


@needs_uvicorn
def test_uvicorn_whose_workers_are_spawned(api: Api):
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--workers", str(WORKERS), "--port", str(port)]
    with started(*command, f"{APP}:asgi", API_URL=api.url) as server:
        ask_until_all_have_answered(port)
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=30)
    assert "Traceback" not in errors
    wait_until_delivered(api.calls)
    assert set(counts()) == {"/asgi"}
