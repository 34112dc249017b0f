"""``recost-collector doctor``: what users get wrong, on a healthy, an idle, a broken and a hung host."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from examples.standins import CloudStandIn
from recost.leader import read_leader
from recost.ring.layout import HEARTBEAT
from recost.session import Session
from recost_collector.checks import settings
from tests.cli.hosts import (
    KEY,
    Command,
    checks,
    cloud_session,
    damage_spool,
    foreground,
    leave_waiting_file,
    leave_window,
    runtime_files,
    wait_for_a_slow_collector,
)
from tests.collector.collecting import Worker, collector, file_session, runtime, turn_until
from tests.harness import wait_until


def test_an_idle_host_is_well_and_stays_as_it_was(doctor: Command) -> None:
    assert doctor() == 0
    assert runtime_files() == []
    assert not os.listdir(os.environ["RECOST_STATE_DIR"])
    captured = checks(doctor)["captured"]
    assert captured["verdict"] == "warn"
    assert "localhost, 127.0.0.1 and ::1 are left out" in captured["text"]
    assert "exclude_loopback=False" in captured["mend"]


def test_a_healthy_host_is_well(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_a_slow_collector(monkeypatch)
    worker = Worker(file_session())
    with foreground() as process:
        worker.call()
        worker.ask_for_flush()
        wait_until(worker.is_settled, what="the flush")

        assert doctor() == 0, doctor.text
        assert f"collector pid {process.pid}, 1 ring" in doctor.text
        found = checks(doctor)
        of_this_machine = {"room for rings", "after a reboot", "other directory", "other user"}
        assert {name for name, check in found.items() if check["verdict"] != "ok"} <= of_this_machine
        worker.leave()


def test_no_colours_without_a_terminal(doctor: Command) -> None:
    doctor()
    assert "\x1b" not in doctor.text


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("API_KEY", "sk-live-abcdefghijklmnopqrstuvwxyz", "a key that starts with 'rc-'"),
        ("API_KEY", f'"{KEY}"', "a key that starts with 'rc-'"),
        ("RING_BYTES", "1000", "a power of two"),
        ("LOCAL_TRANSPORT", "tcp", "'file' or 'ws'"),
    ],
)
def test_a_wrong_setting_is_named(
    variable: str, value: str, part: str, doctor: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"RECOST_{variable}", value)

    assert doctor() == 1
    found = checks(doctor)["settings"]
    assert found["verdict"] == "fail"
    assert f"RECOST_{variable}" in found["text"]
    assert part in found["text"]
    if variable == "API_KEY":
        assert value not in doctor.text


def test_a_misspelled_variable_is_met_with_the_right_one(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOST_APIKEY", KEY)

    assert doctor() == 0
    assert "RECOST_APIKEY is no setting of recost and does nothing" in doctor.text
    assert "did you mean RECOST_API_KEY?" in doctor.text


def test_a_missing_extra_is_named(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets", None)
    monkeypatch.setenv("RECOST_LOCAL_TRANSPORT", "ws")

    assert doctor() == 1
    assert "recost[local]" in doctor.text


def test_a_refused_key_is_shown_with_the_mend(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_a_slow_collector(monkeypatch)
    with CloudStandIn(keys={"rc-other"}, host="127.0.0.2") as service:
        leave_window(cloud_session(service.addresses[0][1], max_consecutive_auth_failures=1), KEY)
        with foreground():
            assert doctor() == 1
            assert "the key was refused\n" in doctor.text
            assert "to do: set a valid api_key (RECOST_API_KEY)" in doctor.text


def test_mixed_versions_are_told(doctor: Command) -> None:
    worker = Worker(Session(file_session().destination, sdk_version="0.0.1"))
    with collector() as leadership:
        turn_until(leadership, lambda: leadership.service.rings.sources, what="the ring")
        found = checks(doctor)["versions"]
        assert found["verdict"] == "warn"
        assert f"0.0.1 (pid {os.getpid()})" in found["text"]
        worker.leave()


def test_nobody_collects_although_something_waits(doctor: Command) -> None:
    leave_waiting_file()

    assert doctor() == 3
    assert "no collector runs although something waits" in doctor.text


def test_a_stopped_collector_is_told(doctor: Command) -> None:
    worker = Worker(file_session())
    with foreground() as process:
        wait_until(lambda: worker.ring.words[HEARTBEAT], what="a heartbeat")
        process.send_signal(signal.SIGSTOP)

        assert doctor() == 1
        assert "holds its lock and does nothing" in doctor.text
        worker.leave()


def test_a_corrupt_spool_is_told_and_left(doctor: Command) -> None:
    path = damage_spool(leave_waiting_file())
    damaged = path.read_bytes()

    assert doctor() == 1
    assert "the spool cannot be read" in doctor.text
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    "arguments", [("--records", "3"), ("PATH",), ("--timeout", "0"), ("--rings", "--reach"), ("--timeout", "x")]
)
def test_wrong_usage_is_exit_code_2(doctor: Command, arguments: tuple[str, ...]) -> None:
    assert doctor(*arguments) == 2
    assert "usage:" in doctor.errors


def test_it_starts_no_collector(doctor: Command) -> None:
    worker = Worker(file_session())
    worker.call()

    assert doctor() == 3
    assert read_leader(runtime()) is None
    worker.leave()


@pytest.mark.parametrize(
    ("host_", "is_safe"),
    [("localhost", True), ("[::1]:8", True), ("localhost.example.com", False), ("127.a.test", False)],
)
def test_a_key_that_would_travel_unencrypted_is_told_whatever_the_host_resembles(
    monkeypatch: pytest.MonkeyPatch, host_: str, is_safe: bool
) -> None:
    monkeypatch.setenv("RECOST_API_KEY", KEY)
    monkeypatch.setenv("RECOST_PROJECT_ID", "shop")
    monkeypatch.setenv("RECOST_BASE_URL", f"http://{host_}")

    (found,) = settings.check(settings.read(), [])

    assert ("travels unencrypted" in found.text) is not is_safe


def test_an_examination_changes_no_mode_and_fills_no_ring(doctor: Command) -> None:
    """On a full file system it must take no room."""
    worker = Worker(file_session())
    os.chmod(runtime(), 0o750)
    path = worker.ring.path
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.truncate(size // 2)
        file.truncate(size)  # a hole
    held = os.stat(path).st_blocks

    doctor()

    assert len(doctor.other("status").json()["rings"]) == 1
    assert os.stat(os.environ["RECOST_RUNTIME_DIR"]).st_mode & 0o777 == 0o750
    assert os.stat(path).st_blocks == held
    worker.leave()
