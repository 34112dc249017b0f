"""The first process of a container: Gunicorn, a sidecar, a collector that hangs. The pid namespaces are real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from examples.standins import ProviderStandIn
from tests.harness import END_S, wait_until
from tests.processes.support import ROOT, Api, counts, delivered, rings, wait_for_line

NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
EXAMPLE = ROOT / "examples" / "gunicorn"
REQUESTS = 24
CALLS = 7
WORKER = """
import sys, urllib3, recost, signal
recost.init(collector="external", flush_interval_ms=3600000)
for _ in range(7):
    urllib3.PoolManager().request("GET", sys.argv[1])
print("called", flush=True)
signal.pause()
"""
HANGS = """
import os, re, sys, time
from recost_collector import process
assert sys.argv[1] in {"any", str(os.getpid())}
process.HANG_S = 0.5
process._rearm()
re.match("(a+)+$", "a" * 40 + "b")  # in C, where no other thread has its turn
"""


@pytest.fixture
def namespace() -> list[str]:
    """The command that runs another as process 1."""
    command = NAMESPACE if os.geteuid() == 0 else [*NAMESPACE, "--user", "--map-root-user"]
    if shutil.which(command[0]) is None:
        pytest.skip("needs unshare, of util-linux")
    probe = subprocess.run([*command, "true"], check=False, capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"this machine permits no pid namespace: {probe.stderr.strip()}")
    return command


def test_gunicorn_as_the_first_process_of_a_container_delivers_all_before_it_ends(namespace: list[str]) -> None:
    """With the example's settings and hooks. After it ends there is nobody left who could deliver."""
    with ProviderStandIn(error_rate=0, latency_scale=0) as providers:
        urls = {f"{name.upper()}_URL": url for name, url in providers.urls().items()}
        command = [*namespace, sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "app:app"]
        environ = {**os.environ, **urls, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collector")])}
        container = subprocess.Popen(command, cwd=EXAMPLE, env=environ, stderr=subprocess.PIPE, text=True)
        try:
            assert container.stderr is not None
            port = _port(container)
            for _ in range(REQUESTS):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/notify", timeout=60) as answer:
                    assert answer.status == 200
            os.kill(_first_process(container.pid), signal.SIGTERM)
            said = container.stderr.read()
            assert container.wait(30) == 0, said
        finally:
            container.kill()
            container.communicate()
    assert sum(counts("shop").values()) == REQUESTS
    assert "ERROR" not in said.upper(), "Gunicorn met the collector's end as if it were a worker's"


def test_a_sidecar_and_the_container_of_its_worker_share_nothing_but_a_volume(
    namespace: list[str], api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pid namespaces, as in a pod; the volume itself can be written by everybody. The worker is killed."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    monkeypatch.setenv("RECOST_RUNTIME_DIR", str(volume / "rings"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "collector")]))
    collector = subprocess.Popen([*namespace, sys.executable, "-m", "recost_collector", "run"], stderr=subprocess.PIPE)
    worker = subprocess.Popen([*namespace, sys.executable, "-c", WORKER, api.url], stdout=subprocess.PIPE)
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"called\n"
        os.kill(_first_process(worker.pid), signal.SIGKILL)
        worker.wait(20)
        wait_until(lambda: delivered() == CALLS and not rings(), what="the killed worker's calls")
        os.kill(_first_process(collector.pid), signal.SIGTERM)
        assert collector.wait(END_S) == 0
    finally:
        for process in (worker, collector):
            process.kill()
            process.communicate()


@pytest.mark.parametrize("first", [True, False], ids=["as the first process", "as any other"])
def test_a_collector_that_hangs_ends_itself(namespace: list[str], tmp_path: Path, first: bool) -> None:
    """For the first process of a namespace the kernel ignores the signal that ends any other."""
    script = tmp_path / "hangs.py"
    script.write_text(HANGS)
    command = [*(namespace if first else []), sys.executable, str(script), "1" if first else "any"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collector")])}
    done = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=END_S)
    assert done.returncode == (1 if first else -signal.SIGALRM), done.stderr
    assert ("Timeout" in done.stderr) == first


def _port(container: subprocess.Popen[str]) -> str:
    return wait_for_line(container.stderr, r"Listening at: http://127\.0\.0\.1:(\d+)")[1]


def _first_process(unshare: int) -> int:
    """The process that is 1 in there, by the pid that it has out here."""
    return int(Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()[0])
