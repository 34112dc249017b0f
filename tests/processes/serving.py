"""A real server with a real application, and requests to it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator

import urllib3

from tests.harness import END_S, PATIENCE_S
from tests.processes.support import program, wait_for_line

PATIENT = ("--graceful-timeout", "90")
"""Of Gunicorn: a worker that waits for its last delivery for a minute at the most is not killed after as long."""


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._process = process
        self.address = address
        """Host and port."""

    def get(self, path: str, status: int = 200) -> str:
        """The answer's text, whole."""
        with urllib3.PoolManager(retries=False) as pools:
            answer = pools.request("GET", f"http://{self.address}{path}", timeout=PATIENCE_S)
            assert answer.status == status, answer.data
            return answer.data.decode()

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Gracefully, as a deployment does. Gives what it has printed since it listens."""
        self._process.send_signal(number)
        output, _ = self._process.communicate(timeout=END_S)
        assert self._process.returncode in {0, -number}, output
        return output


@contextlib.contextmanager
def serving(*arguments: str, **environ: str) -> Iterator[Server]:
    """``python arguments``, once it says where it listens."""
    with program(*arguments, **environ) as process:
        yield Server(process, wait_for_line(process.stdout, r"http://(127\.0\.0\.1:\d+)")[1])


def uvicorn(app: str, *options: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", "--port", "0", *options, app)


def gunicorn(app: str, threads: int = 2) -> tuple[str, ...]:
    """One worker with threads that serve one request after the other."""
    return ("-m", "gunicorn", "--bind", "127.0.0.1:0", *PATIENT, "-k", "gthread", "--threads", str(threads), app)
