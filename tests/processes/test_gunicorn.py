"""Gunicorn with four workers: every call that the API counted is in the file."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from examples.standins import ProviderStandIn
from tests.harness import END_S, wait_until
from tests.processes.load import asking
from tests.processes.serving import PATIENT
from tests.processes.support import (
    ROOT,
    Api,
    counts,
    delivered,
    kill_leader,
    log_lines,
    program,
    rings,
    wait_for_leader,
    wait_for_line,
    wait_until_idle,
    windows,
)

CONFIG = Path(__file__).with_name("gunicorn_conf.py")
EXAMPLE = ROOT / "examples" / "gunicorn"
APP = "tests.processes.gunicorn_app:app"
CLIENTS = ["/urllib3", "/requests"]
THREADS = {"sync": 1, "gthread": 4}
INIT = {
    "the application": {"APP_CALLS_INIT": "1"},
    "the hooks": {"CONF_HAS_HOOKS": "all", "RECOST_AUTO_SHUTDOWN_HANDLERS": "0"},  # so it is worker_exit that delivers
}


class Server:
    """A running Gunicorn, and requests to it."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self._port = port
        self.bodies: Counter[bytes] = Counter()
        """What was answered: the worker's pid."""
        self.failed = 0
        """Requests whose worker died meanwhile."""

    def ask(self, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=END_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            self.bodies[answer.read()] += 1
        except (OSError, http.client.HTTPException):
            self.failed += 1
        finally:
            connection.close()

    def load(self, paths: Sequence[str] = CLIENTS, clients: int = 6) -> AbstractContextManager[None]:
        """Requests all the time."""
        return asking(self.ask, paths, clients)

    def stop(self) -> None:
        """Gracefully, as a deployment does."""
        self._process.terminate()
        output, _ = self._process.communicate(timeout=END_S)
        assert self._process.returncode == 0, output


@contextlib.contextmanager
def gunicorn(*arguments: str, **environ: str) -> Iterator[Server]:
    with program("-m", "gunicorn", "--bind", "127.0.0.1:0", *PATIENT, *arguments, **environ) as process:
        yield Server(process, int(wait_for_line(process.stdout, r"Listening at: http://127\.0\.0\.1:(\d+)")[1]))


def settings(kind: str, *, preload: bool) -> list[str]:
    return ["-c", str(CONFIG), "-k", kind, "--threads", str(THREADS[kind]), *["--preload"] * preload, APP]


@pytest.mark.parametrize(
    ("kind", "preload", "who"),
    [
        ("sync", False, "the application"),
        ("gthread", True, "the application"),
        ("sync", False, "the hooks"),
        ("sync", True, "the hooks"),
    ],
)
def test_every_call_is_delivered_when_gunicorn_has_stopped(api: Api, kind: str, preload: bool, who: str):
    """On all workers, whoever calls init(): nothing needs to be waited for after a graceful stop."""
    with gunicorn(*settings(kind, preload=preload), API_URL=api.url, **INIT[who]) as server:
        with server.load():
            wait_until(lambda: len(server.bodies) == 4 and api.calls > 200, what="requests to all workers")
        assert len(rings()) == 4
        server.stop()
    assert server.failed == 0
    assert delivered() == api.calls
    assert set(counts()) == set(CLIENTS)
    environment = "of the hooks" if who == "the hooks" else "development"
    assert {window["environment"] for window in windows()} == {environment}
    wait_until_idle()
    assert len(log_lines(" leads: ")) == 1, log_lines("")


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_hooks_make_no_second_one_beside_the_applications(api: Api, preload: bool):
    """Whether init() was called before the fork or comes after the hook."""
    both = {**INIT["the application"], **INIT["the hooks"]}
    with gunicorn(*settings("sync", preload=preload), API_URL=api.url, **both) as server:
        with server.load():
            wait_until(lambda: len(server.bodies) == 4, what="requests to all workers")
        assert len(rings()) == 4
        server.stop()
    wait_until_idle()
    assert delivered() == api.calls
    assert {window["environment"] for window in windows()} == {"development"}


@pytest.mark.parametrize(("kind", "preload"), [("sync", True), ("gthread", False)])
def test_kills_of_workers_and_collectors_cost_at_most_the_calls_in_flight(
    monkeypatch: pytest.MonkeyPatch, kind: str, preload: bool
):
    """A busy worker and the collector, three times each, while requests come all the time."""
    monkeypatch.setenv("RECOST_FLUSH_INTERVAL_MS", "200")
    kills = 3
    with Api() as api:
        with gunicorn(*settings(kind, preload=preload), API_URL=api.url, APP_CALLS_INIT="1") as server:
            with server.load(["/urllib3"]):
                for _ in range(kills):
                    answered, enough = server.bodies.copy(), len(windows()) + 2
                    wait_until(lambda: len(windows()) >= enough, what="windows")  # noqa: B023 - called right here
                    busy = (server.bodies - answered).most_common(1)[0][0]
                    os.kill(int(busy), signal.SIGKILL)
                    wait_for_leader(other_than=kill_leader())
            server.stop()
        wait_until_idle()
        missing = api.calls - delivered()
        print(f"calls={api.calls} missing={missing} failed={server.failed} windows={len(windows())}")
        assert 0 <= missing <= kills * THREADS[kind]
        assert server.failed >= missing
    assert len(log_lines(" leads: ")) == kills + 1, log_lines("")


@pytest.mark.parametrize("hooks", ["all", "without on_starting"])
def test_a_wrong_setting_stops_gunicorn_and_is_said(hooks: str):
    """No worker goes without capture, and none dies again and again."""
    environ = {"RECOST_PROJECT_ID": "not/a/name", "CONF_HAS_HOOKS": hooks, "API_URL": ""}
    with program("-m", "gunicorn", *settings("sync", preload=False), **environ) as process:
        output, _ = process.communicate(timeout=END_S)
    assert process.returncode in {1, 3}  # Gunicorn's own choice
    assert "ConfigError: RECOST_PROJECT_ID='not/a/name': want " in output
    assert ("Booting worker" in output) == (hooks != "all")


@pytest.mark.skipif(sys.version_info < (3, 10), reason="its httpx2 cannot be there beside the oldest httpx")
def test_the_example_runs_and_counts_each_of_its_clients():
    """As it stands in the folder, but for the addresses and two workers less."""
    pages = ["/chat", "/summarize", "/pay", "/notify", "/repositories"]
    with ProviderStandIn(error_rate=0, latency_scale=0.1) as providers:
        urls = {f"{name.upper()}_URL": url for name, url in providers.urls().items()}
        with gunicorn(
            "--chdir",
            str(ROOT / "examples/gunicorn"),
            "-c",
            str(ROOT / "examples/gunicorn/gunicorn.conf.py"),
            "app:app",
            **urls,
        ) as server:
            with server.load(pages, clients=3):
                wait_until(lambda: len(providers.counts()) == len(pages) and providers.total() > 20, what="every page")
            server.stop()
        assert delivered("shop") == providers.total()
        assert len(counts("shop")) == len(pages)
    wait_until_idle()
