"""``recost-collector run`` under systemd, for real but for systemd: a datagram socket at ``$NOTIFY_SOCKET``."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recost.leader import read_leader
from tests.processes.support import Api, run_program, wait_until_delivered

BEAT_S = 0.1
ENVIRON = {"WATCHDOG_USEC": str(round(2 * BEAT_S * 1e6))}


class Supervisor:
    """Hears what a service says of itself, line by line."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(15)
        self.address = address

    def hear(self) -> list[str]:
        """The next message."""
        return self._socket.recv(4096).decode().splitlines()

    def hear_until(self, line: str) -> list[str]:
        """All lines up to this one."""
        heard: list[str] = []
        while line not in heard:
            heard += self.hear()
        return heard

    def hear_all(self) -> list[str]:
        """What is there now."""
        heard: list[str] = []
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                heard += self.hear()
        self._socket.settimeout(15)
        return heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervisor]:
    is_abstract = getattr(request, "param", "") == "abstract"
    address = f"@recost-test-{secrets.token_hex(8)}" if is_abstract else str(tmp_path / "notify")
    made = Supervisor(address)
    yield made
    made.close()


@contextlib.contextmanager
def service(supervisor: Supervisor, **environ: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "recost_collector", "run"]
    given = {**os.environ, "NOTIFY_SOCKET": supervisor.address, **environ}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=given) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("supervisor", ["path", "abstract"], indirect=True)
def test_it_is_ready_when_it_leads_beats_while_it_turns_and_says_that_it_stops(supervisor: Supervisor) -> None:
    with service(supervisor, **ENVIRON) as process:
        heard = supervisor.hear_until("READY=1")
        leader = read_leader(os.environ["RECOST_RUNTIME_DIR"])
        assert leader is not None
        assert leader.pid == process.pid
        assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in heard)
        started = time.monotonic()
        for _ in range(3):
            supervisor.hear_until("WATCHDOG=1")
        assert time.monotonic() - started > BEAT_S, "a beat a turn would be too many"
        process.send_signal(signal.SIGSTOP)
        supervisor.hear_all()
        supervisor._socket.settimeout(4 * BEAT_S)
        with pytest.raises(socket.timeout):
            supervisor.hear()
        supervisor._socket.settimeout(15)
        process.send_signal(signal.SIGCONT)
        supervisor.hear_until("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        supervisor.hear_until("STOPPING=1")
        assert process.wait(15) == 0


def test_a_watchdog_that_is_another_process_s_gets_no_beats(supervisor: Supervisor) -> None:
    with service(supervisor, **ENVIRON, WATCHDOG_PID="1") as process:
        supervisor.hear_until("READY=1")
        process.send_signal(signal.SIGTERM)
        heard = supervisor.hear_until("STOPPING=1")
        assert "WATCHDOG=1" not in heard
        assert process.wait(15) == 0


def test_a_supervisor_that_is_gone_disturbs_nothing(supervisor: Supervisor) -> None:
    supervisor.close()
    with service(supervisor, **ENVIRON) as process:
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert "NOTIFY_SOCKET" in said[0]
    assert "leads" in said[1]


def test_a_collector_that_a_worker_starts_does_not_speak_for_the_worker_s_service(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOST_COLLECTOR_IDLE_EXIT_S", "0")
    monkeypatch.setenv("NOTIFY_SOCKET", supervisor.address)
    monkeypatch.setenv("WATCHDOG_USEC", ENVIRON["WATCHDOG_USEC"])
    script = "import sys, urllib3, recost; recost.init(); urllib3.PoolManager().request('GET', sys.argv[1])"
    with Api() as api:
        run_program("-c", script, api.url)
    wait_until_delivered(1)
    assert supervisor.hear_all() == []
