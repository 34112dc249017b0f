"""An application in a process of its own, which does what the test says and tells what it hears."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from examples.standins import CloudStandIn
from tests.cloud.application import KEY, PROJECT
from tests.harness import END_S
from tests.processes.support import ROOT, Api

PROGRAM = """
import json, sys, urllib3, recost
errors = []
api, settings = sys.argv[1], json.loads(sys.argv[2])
if settings.pop("hears"):
    settings["on_error"] = lambda error: errors.append([type(error).__name__, str(error)])
handle = recost.init(**settings)
pool = urllib3.PoolManager(retries=False)

def call(path):
    return pool.request("GET", api + path).status

def calls(first, last, pad):
    for number in range(first, last):
        call(f"/v1/{number}" + "x" * pad)

def window(path):
    call(path)
    settled = handle.flush_blocking(60)
    status = handle.last_flush_status
    return [settled, status and status.status]

def flush(timeout_s):
    return handle.flush_blocking(timeout_s)

def heard():
    return errors

for line in sys.stdin:
    name, *arguments = json.loads(line)
    print(json.dumps(globals()[name](*arguments)), flush=True)
"""


class Worker:
    """Ends in good order when its input does. Its standard error is kept. ``hears=False``: it has no ``on_error``."""

    def __init__(self, api: Api, **settings: Any) -> None:
        given = {"api_key": KEY, "project_id": PROJECT, "max_retries": 0, "hears": True, **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, api.url, json.dumps(given)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collector")])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, path: str = "/v1/things") -> None:
        assert self.ask("call", path) == 200

    def window(self, path: str = "/v1/things") -> str:
        """A window of one call, tried at once. Returns how that went."""
        settled, status = self.ask("window", path)
        assert settled
        return str(status)

    def heard(self) -> list[list[str]]:
        """Type and text of every error that it was told of."""
        found: list[list[str]] = self.ask("heard")
        return found

    def ask(self, *words: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self) -> str:
        """Let it end, and give its standard error."""
        _, said = self.process.communicate(timeout=END_S)
        assert self.process.returncode == 0, said
        return said


@contextlib.contextmanager
def worker(cloud: CloudStandIn, api: Api, **settings: Any) -> Iterator[Worker]:
    """A worker that ends in good order with the block, unless the test has ended it."""
    running = Worker(api, **{"base_url": cloud.url, **settings})
    try:
        yield running
        if running.process.returncode is None:
            running.end()
    finally:
        running.process.kill()
        running.process.communicate()
