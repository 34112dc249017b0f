"""What a collector's log says of delivery and of its own end: what somebody looks for who reads it the day after."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples.standins import CloudStandIn
from recost.leader import HANDOVER_SIGNAL
from tests.cli import hosts
from tests.cli.hosts import KEY, cloud_session
from tests.collector.collecting import Worker, file_session, local_dir_in_the_way, runtime
from tests.harness import END_S, wait_until

SPAWNED = """
import sys
from recost_collector import process
process.log_to_file()
process.run(sys.argv[1], "spawned", 2.0)
"""


def log_of(path: Path, *words: str) -> list[str]:
    """Its lines of delivery and of the end, without time."""
    lines = path.read_text("utf-8").splitlines()
    return [re.sub(r"^[-\d]+ [:,\d]+ ", "", line) for line in lines if any(word in line for word in words)]


def settle(worker: Worker) -> None:
    worker.call()
    worker.ask_for_flush()
    wait_until(worker.is_settled, what="the flush")


def test_each_episode_at_a_destination_is_a_warning_and_its_end_a_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with CloudStandIn(keys={KEY}, host="127.0.0.2") as service, log.open("w") as file:
        worker = Worker(cloud_session(service.addresses[0][1]), KEY)
        with hosts.foreground(stderr=file.fileno()) as process:
            settle(worker)
            for _ in range(2):
                service.answers.extend([500] * 2)
                settle(worker)
                settle(worker)
                settle(worker)  # and with it what waits
                wait_until(lambda: not service.answers, what="the answers")
                wait_until(lambda: "delivers again" in log.read_text().splitlines()[-1], what="the end of the episode")
            process.send_signal(signal.SIGTERM)
            assert process.wait(END_S) == 0
        worker.leave()

    lines = log_of(log, "destination=", "ends")
    url = cloud_session(service.addresses[0][1]).destination.url
    assert [line.split()[0] for line in lines] == ["WARNING", "INFO", "WARNING", "INFO", "INFO"]
    assert "answered 500" in lines[0]
    assert "the windows wait on disk" in lines[0]
    assert lines[0].endswith(f": destination={url}")
    assert lines[1] == f"INFO delivers again: destination={url}"
    assert lines[-1] == "INFO ends: SIGTERM; windows on disk: 0"
    assert KEY not in log.read_text()


def test_a_key_that_is_refused_until_delivery_is_suspended_is_two_warnings(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with CloudStandIn(keys=set(), host="127.0.0.2") as service, log.open("w") as file:
        worker = Worker(cloud_session(service.addresses[0][1], max_consecutive_auth_failures=3), KEY)
        with hosts.foreground(stderr=file.fileno()):
            for _ in range(5):
                settle(worker)
        worker.leave()

    refused, suspended = log_of(log, "WARNING")
    assert "check api_key" in refused
    assert "delivery is suspended" in suspended
    assert KEY not in log.read_text()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_end_says_by_which_signal_and_what_is_left(name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file, hosts.foreground(stderr=file.fileno()) as process:
        worker = Worker(file_session())
        with local_dir_in_the_way():
            settle(worker)
            process.send_signal(getattr(signal, name))
            assert process.wait(END_S) == 0
        worker.leave()

    assert log_of(log, "ends") == [f"INFO ends: {name}; windows on disk: 1"]


@pytest.mark.parametrize(
    ("why", "handed_over"), [("its workers are gone", False), ("it hands over to a newer version", True)]
)
def test_a_collector_that_a_worker_has_started_says_why_it_goes(why: str, handed_over: bool) -> None:
    worker = Worker(file_session(collector_idle_exit_s=0.0))
    with subprocess.Popen([sys.executable, "-c", SPAWNED, runtime()]) as process:
        settle(worker)
        if handed_over:
            process.send_signal(HANDOVER_SIGNAL)
        else:
            worker.leave()
        assert process.wait(END_S) == 0
    if handed_over:
        worker.leave()

    (line,) = log_of(Path(os.environ["RECOST_STATE_DIR"]) / "collector.log", "ends")
    assert line == f"INFO {process.pid} ends: {why}; windows on disk: 0"


def test_who_has_lost_the_lead_says_so() -> None:
    worker = Worker(file_session())
    with subprocess.Popen([sys.executable, "-c", SPAWNED, runtime()]) as process:
        settle(worker)
        lock = Path(runtime()) / "leader.lock"
        lock.unlink()
        assert process.wait(END_S) == 0
    worker.leave()

    lines = log_of(Path(os.environ["RECOST_STATE_DIR"]) / "collector.log", "ends")
    assert lines == [f"INFO {process.pid} ends: it has lost the lead"]
