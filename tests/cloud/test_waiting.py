"""Windows that wait: whoever ends meanwhile, they arrive later, once, with the same key, and nothing tells the key."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from examples.standins import CloudStandIn, Scripted
from tests.cloud.application import KEY, OTHER_KEY, application, paths, posts, spooled, statuses, wait_for_posts
from tests.cloud.worker import worker
from tests.conftest import Place
from tests.harness import END_S, wait_until
from tests.processes.support import LOOK_S, Api, collectors, kill_leader, leader, program, wait_for_leader

SHORT = """
import sys, time, urllib3, recost
base_url, api, key = sys.argv[1:]
recost.init(api_key=key, project_id="shop", base_url=base_url)
urllib3.PoolManager(retries=False).request("GET", api + "/v1/short")
print(time.monotonic(), flush=True)
"""


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A program that makes one call, says when, and ends."""
    path = tmp_path / "short.py"
    path.write_text(SHORT)
    return path


def kill_collector() -> None:
    kill_leader()
    wait_for_no_collector()


def wait_for_no_collector() -> None:
    wait_until(lambda: not collectors(), what="the collector to be gone", poll_s=LOOK_S)


def holding_the_key(*folders: Path) -> list[Path]:
    """The files under ``folders`` with the key in them."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if KEY.encode() in file.read_bytes()]


def test_the_next_collector_delivers_what_waits_with_the_same_idempotency_key(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.extend([503, 503])
    with worker(cloud, api) as first:
        assert first.window("/v1/first") == "error"
        assert first.window("/v1/second") == "error"
    kill_collector()
    with worker(cloud, api) as next_one:
        assert next_one.window("/v1/third") == "ok"
        assert next_one.heard() == []
    assert paths(cloud) == ["/v1/first", "/v1/second", "/v1/third"]
    assert posts(cloud)[0].key == posts(cloud)[2].key
    assert len({received.key for received in posts(cloud)}) == 3


def test_a_window_whose_worker_is_gone_is_delivered_by_the_collector_of_another_project(
    cloud: CloudStandIn, api: Api, place: Place
) -> None:
    """The key is kept in the runtime directory for as long as something waits for it."""
    cloud.answers.append(503)
    with worker(cloud, api) as first:
        assert first.window("/v1/first") == "error"
    kill_collector()
    (kept,) = [file for file in holding_the_key(place.runtime) if file.name.startswith("key-")]
    cloud.keys.add(OTHER_KEY)
    with worker(cloud, api, project_id="other", api_key=OTHER_KEY) as other:
        other.call()
        wait_until(lambda: paths(cloud) == ["/v1/first"], what="the window")
        wait_until(lambda: not kept.exists(), what="the key to be forgotten")
    assert posts(cloud)[-1].authorization == f"Bearer {KEY}"
    assert posts(cloud)[0].key == posts(cloud)[1].key


def test_a_collector_that_is_killed_with_a_post_under_way_sends_it_again_with_the_same_key(
    cloud: CloudStandIn, api: Api
) -> None:
    """Twice on the wire, once for whoever heeds the Idempotency-Key."""
    cloud.answers.append(Scripted(until=threading.Event()))
    with application(cloud, api) as app:
        app.call(path="/v1/first")
        assert not app.flush(1.0)
        assert len(wait_for_posts(cloud, 1)) == 1
        kill_leader()
        assert app.flush(), "within its budget it starts another one"
        assert app.status == "ok"
    first, again = posts(cloud)
    assert (first.key, first.body) == (again.key, again.body)
    assert paths(cloud) == ["/v1/first"]


def test_parked_windows_are_in_the_spool_with_their_reason(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.append(422)
    with application(cloud, api) as app:
        assert app.window() == "error"
        assert (spooled("status", "parked"), spooled("tries", "parked")) == (422, 1)
        assert "payload" in spooled("reason", "parked")


def test_the_key_is_nowhere_but_in_shared_memory(cloud: CloudStandIn, api: Api, place: Place) -> None:
    cloud.answers.extend([503, 401, 422, 302])
    with worker(cloud, api) as app:
        for _ in range(4):
            app.window()
        found = leader()
        assert found is not None
        for name in ("cmdline", "environ"):
            assert KEY.encode() not in Path(f"/proc/{found.pid}/{name}").read_bytes()
        assert {"collector.log", "spool.sqlite3"} <= {file.name for file in place.state.rglob("*")}
        assert holding_the_key(place.state, place.local, place.home) == []
        held = holding_the_key(place.runtime)
        assert {file.name.partition("-")[0] for file in held} == {"ring", "key"}
        assert {file.stat().st_mode & 0o777 for file in held} == {0o600}
    wait_for_no_collector()
    (left,) = holding_the_key(place.runtime)
    assert left.name.startswith("key-"), "something is parked, so it may be needed"


def test_a_key_is_forgotten_with_the_last_window(cloud: CloudStandIn, api: Api, place: Place) -> None:
    with worker(cloud, api, collector_idle_exit_s=0) as app:
        assert app.window() == "ok"
    wait_for_no_collector()
    assert holding_the_key(place.runtime) == []


def test_a_destination_that_never_answers_holds_up_nobody_else(cloud: CloudStandIn, api: Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stuck_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with worker(cloud, api, base_url=stuck_url, flush_interval_ms=100, shutdown_flush_timeout_ms=0) as stuck:
            stuck.call()
            connection, _ = silent.accept()
            with connection, application(cloud, api) as app:
                assert connection.recv(1)
                assert [app.window() for _ in range(3)] == ["ok"] * 3
                assert stuck.ask("flush", 0.3) is False
    assert statuses(cloud) == [202] * 3


def test_exit_waits_no_further_than_the_first_failed_attempt(
    cloud: CloudStandIn, api: Api, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retries and the timeout would take minutes."""
    monkeypatch.setenv("RECOST_MAX_RETRIES", "10")
    monkeypatch.setenv("RECOST_SHUTDOWN_FLUSH_TIMEOUT_MS", "600000")
    cloud.script = lambda _: 503
    exit_time(short, cloud.url, api)
    cloud.script = None
    with application(cloud, api) as app:
        assert app.window() == "ok"
    assert paths(cloud) == ["/v1/short", "/v1/things"]


def test_exit_waits_no_longer_than_configured(
    cloud: CloudStandIn, api: Api, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOST_SHUTDOWN_FLUSH_TIMEOUT_MS", "700")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert 0.7 <= exit_time(short, f"http://127.0.0.1:{silent.getsockname()[1]}", api) < 30
        wait_for_leader()
        wait_until(lambda: spooled() == 1, what="the collector, which goes on behind")


def exit_time(short: Path, base_url: str, api: Api) -> float:
    """Seconds from the program's last line to its end."""
    with program(short, base_url, api.url, KEY) as process:
        output, _ = process.communicate(timeout=END_S)
        assert process.returncode == 0, output
        return time.monotonic() - float(output.splitlines()[0])
