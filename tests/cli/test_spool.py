"""``recost-collector spool`` on a healthy, an idle, a broken and a hung host."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from examples.standins import CloudStandIn
from recost_collector import asking
from recost_collector.spool_file import ASIDE
from tests.cli.hosts import (
    GARBAGE,
    KEY,
    Command,
    cloud_session,
    damage_spool,
    foreground,
    leave_waiting_file,
    leave_window,
    runtime_files,
    stopped,
)
from tests.collector.collecting import Worker
from tests.harness import free_port, wait_until


def _park(service: CloudStandIn, project: str = "shop") -> None:
    """A window that the service has refused for good."""
    service.answers.append(422)
    leave_window(cloud_session(service.addresses[0][1], project), KEY)


def _windows(spool: Command, *arguments: object) -> list[dict[str, Any]]:
    return [window for found in spool.json("list", *arguments) for window in found["windows"]]


def _dropped(spool: Command) -> int:
    """As status shows it."""
    found = spool.other("status").json()
    return sum(destination["dropped"] for destination in found["destinations"])


@pytest.fixture
def service():
    with CloudStandIn(keys={KEY}, host="127.0.0.2") as server:
        yield server


def test_an_idle_host_has_no_windows_and_stays_as_it_was(spool: Command) -> None:
    assert spool("list") == 0
    assert spool.text == "no windows wait\n"
    assert spool("retry") == 0
    assert spool("delete", "--parked", "--yes") == 0
    assert spool.text == "nothing is parked\n"
    assert runtime_files() == []


def test_list_shows_what_waits_and_what_is_parked_with_its_reason(spool: Command, service: CloudStandIn) -> None:
    _park(service)
    leave_waiting_file()

    assert spool("list") == 0
    assert spool.text.startswith("windows: 1 waiting, 1 parked\n")
    assert "422" in spool.text
    shown = _windows(spool)
    assert {window["state"] for window in shown} == {"waiting", "parked"}
    assert all(window["bytes"] > 100 and window["entries"] == 1 for window in shown)
    assert [window["status"] for window in _windows(spool, "--parked")] == [422]
    assert [window["state"] for window in _windows(spool, "--destination", ".jsonl")] == ["waiting"]


def test_retry_delivers_what_is_taken_now(spool: Command, service: CloudStandIn) -> None:
    _park(service)
    with foreground():
        assert spool("retry") == 0
        assert spool.text.splitlines()[0] == "tried again: 1 parked window; all is delivered: 1 window"
        assert service.calls("shop") == 1
        assert spool("retry") == 0
        assert spool.text == "nothing is parked\n"


def test_retry_without_a_collector_tries_by_itself_and_says_why_it_is_parked_again(
    spool: Command, service: CloudStandIn
) -> None:
    _park(service)
    service.answers.append(413)

    assert spool("retry") == 1
    assert "not all is delivered: 1 window is parked" in spool.text
    assert "413" in spool.text
    assert [window["status"] for window in _windows(spool)] == [413]


def test_retry_takes_only_what_it_is_told(spool: Command, service: CloudStandIn) -> None:
    _park(service, "shop")
    _park(service, "blog")
    number = next(window["id"] for window in _windows(spool) if "/blog/" in window["destination"])

    assert spool("retry", "--destination", "/shop/") == 1, "the other one is parked still"
    assert (service.calls("shop"), service.calls("blog")) == (1, 0)
    assert spool("retry", "--id", number + 1) == 1
    assert (spool.text, spool.errors) == ("", "nothing matches; 1 window is parked: recost-collector spool list\n")
    assert spool("retry", "--id", number) == 0
    assert service.calls("blog") == 1


def test_delete_lists_and_with_yes_deletes_and_counts(spool: Command, service: CloudStandIn) -> None:
    _park(service)
    with foreground():
        assert spool("delete", "--parked") == 0
        assert "422" in spool.text
        assert spool.text.endswith("nothing was deleted: --yes deletes this\n")
        assert len(_windows(spool)) == 1

        assert spool("delete", "--parked", "--yes") == 0
        assert spool.text == "deleted: 1 parked window, counted as dropped\n"
        assert _windows(spool) == []
    assert _dropped(spool) == 1


def test_delete_says_when_nothing_matches_what_it_is_told(spool: Command, service: CloudStandIn) -> None:
    _park(service)
    for choice in (("--destination", "nosuch"), ("--id", "9999")):
        assert spool("delete", "--parked", *choice, "--yes") == 1
        assert spool.errors == "nothing matches; 1 window is parked: recost-collector spool list\n"
    assert len(_windows(spool)) == 1


@pytest.mark.parametrize("is_led", [True, False])
def test_what_waits_for_a_wrong_address_can_be_deleted_on_its_own(is_led: bool, spool: Command) -> None:
    leave_window(cloud_session(free_port("127.0.0.2"), "mistyped"), KEY)
    leave_waiting_file()
    command = ("delete", "--waiting", "--destination", "/mistyped/")
    with foreground() if is_led else contextlib.nullcontext():
        assert spool(*command) == 0
        assert spool.text.endswith("nothing was deleted: --yes deletes this\n")
        assert spool(*command, "--yes") == 0
        assert spool.text == "deleted: 1 waiting window, counted as dropped\n"
        assert spool(*command, "--yes") in (0, 1)
        assert spool.text + spool.errors == "nothing is waiting\n" or "nothing matches" in spool.errors
    assert not any("/mistyped/" in window["destination"] for window in _windows(spool))
    assert _dropped(spool) == 1


def test_delete_without_a_collector_leaves_what_only_waits(spool: Command, service: CloudStandIn) -> None:
    _park(service)
    leave_window(cloud_session(1, "blog"), KEY)

    assert spool("delete", "--parked", "--yes") == 0
    assert [window["state"] for window in _windows(spool)] == ["waiting"]
    assert _dropped(spool) == 1


def test_status_points_to_the_command(spool: Command, service: CloudStandIn) -> None:
    _park(service)
    status = spool.other("status")

    assert status() == 1
    assert "recost-collector spool retry" in status.text
    assert spool("delete", "--parked", "--yes") == 0
    assert status() == 0


def test_a_stopped_collector_keeps_list_from_nothing_and_the_others_not_for_long(
    spool: Command, service: CloudStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE_S", 0.3)
    _park(service)
    with stopped() as process:
        assert spool("list") == 0
        assert len(_windows(spool)) == 1
        assert spool("retry", "--timeout", "0.1") == 4
        assert f"pid {process.pid}, does not answer" in spool.errors
        assert spool("delete", "--parked", "--yes", "--timeout", "0.1") == 4
        assert len(_windows(spool)) == 1


@pytest.mark.parametrize("damage", [GARBAGE, "UPDATE destinations SET destination = x'c1'", "DROP TABLE frames"])
def test_a_spool_that_cannot_be_read_is_said_so(damage: str, spool: Command) -> None:
    folder = leave_waiting_file()
    damage_spool(folder, damage)

    assert spool("list") == 1
    assert "the spool cannot be read" in spool.text
    assert not [name for name in os.listdir(folder) if ASIDE in name], "a look moves nothing"


def test_many_windows_are_shown_by_number(spool: Command) -> None:
    path = leave_waiting_file() / "spool.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
            " INSERT INTO frames (destination, session, key, body, sdk_version, entries, closed_at_ms, size)"
            " SELECT f.destination, f.session, 'k' || i, f.body, '', 1, f.closed_at_ms, f.size FROM frames AS f, n"
        )
    db.close()

    assert spool("list") == 0
    assert "and 481 more; --all shows them" in spool.text
    assert spool("list", "--all") == 0
    assert len(spool.text.splitlines()) > 500


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("remove",),
        ("delete",),
        ("delete", "--yes"),
        ("delete", "--waiting", "--yes"),
        ("retry", "--id", "x"),
        ("list", "--id", "-1"),
    ],
)
def test_wrong_usage_is_exit_code_2(spool: Command, arguments: tuple[str, ...]) -> None:
    assert spool(*arguments) == 2
    assert "usage:" in spool.errors


def test_a_worker_whose_window_was_deleted_is_settled(spool: Command, service: CloudStandIn) -> None:
    """Its flush must not wait for what is gone."""
    service.answers.append(422)
    worker = Worker(cloud_session(service.addresses[0][1]), KEY)
    with foreground():
        worker.call()
        worker.ask_for_flush()
        wait_until(worker.is_settled, what="the refusal")
        assert spool("delete", "--parked", "--yes") == 0
        worker.call()
        worker.ask_for_flush()
        wait_until(worker.is_settled, what="the next window")
        assert service.calls("shop") == 1
        worker.leave()


def test_an_id_that_is_in_several_spools_is_refused_until_the_destination_tells_which(
    spool: Command, service: CloudStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a container beside this one: the other spool's lock is held, so that nobody takes it over."""
    service.answers += [422, 422]
    others = leave_window(cloud_session(service.addresses[0][1], "blog"), KEY)
    with (others / "spool.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setenv("RECOST_RUNTIME_DIR", str(tmp_path / "here"))
        leave_window(cloud_session(service.addresses[0][1]), KEY)
        (number,) = {window["id"] for window in _windows(spool)}

        for command in (("delete", "--parked", "--yes"), ("retry",)):
            assert spool(*command, "--id", number) == 2
            assert f"--id {number} is in several spools" in spool.errors
            assert spool(*command, "--id", number, "--destination", "/blog/") == 2
            assert "of no runtime directory here" in spool.errors
        assert len(_windows(spool)) == 2

        assert spool("delete", "--parked", "--yes", "--id", number, "--destination", "/shop/") == 0
        assert ["/blog/" in window["destination"] for window in _windows(spool)] == [True]
