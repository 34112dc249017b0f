"""A real server with a real application, requests to it, and the tags that arrived."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from typing import Optional

import pytest
import urllib3

from tests.processes.support import program, windows


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._process = process
        self.address = address
        """Host and port."""

    def get(self, path: str, status: int = 200) -> str:
        """The answer's text, whole."""
        with urllib3.PoolManager(retries=False) as pools:
            answer = pools.request("GET", f"http://{self.address}{path}", timeout=30)
            assert answer.status == status, answer.data
            return answer.data.decode()

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Gracefully, as a deployment does. Gives what it has printed since it listens."""
        self._process.send_signal(number)
        output, _ = self._process.communicate(timeout=60)
        assert self._process.returncode in {0, -number}, output
        return output


@contextlib.contextmanager
def serving(*arguments: str, **environ: str) -> Iterator[Server]:
    """``python arguments``, once it says where it listens."""
    with program(*arguments, **environ) as process:
        yield Server(process, _address_of(process))


def uvicorn(app: str, *options: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", "--port", "0", *options, app)


def gunicorn(app: str) -> tuple[str, ...]:
    """One worker with threads that serve one request after the other."""
    return ("-m", "gunicorn", "--bind", "127.0.0.1:0", "-k", "gthread", "--threads", "2", app)


def tags(project: str = "default") -> Counter[str]:
    """Calls by tag, in all windows of the project."""
    found: Counter[str] = Counter()
    for window in windows(project):
        for entry in window.get("tagMetrics", ()):
            found[entry["featureTag"]] += entry["requestCount"]
    return found


def _address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        found: Optional[re.Match[str]] = re.search(r"http://(127\.0\.0\.1:\d+)", line)
        if found is not None:
            return found[1]
    return pytest.fail(output)
