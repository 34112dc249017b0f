"""Who hears of trouble, how often, and where: ``on_error``, and the log without it."""

from __future__ import annotations

import logging
import os
import re
import threading
from pathlib import Path

import pytest

from examples.standins import CloudStandIn
from recost.errors import RecostAuthError, RecostError
from tests.cloud.application import KEY, Application, application, paths, posts, statuses
from tests.cloud.worker import worker
from tests.harness import wait_until
from tests.processes.support import Api, run_program

SCRIPT = """
import sys, urllib3, recost
base_url, api, key, windows = sys.argv[1:]
handle = recost.init(api_key=key, project_id="shop", base_url=base_url, max_retries=0)
pool = urllib3.PoolManager(retries=False)
for _ in range(int(windows)):
    pool.request("GET", api + "/v1/things")
    assert handle.flush_blocking(60)
pool.request("GET", api + "/v1/last")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program without ``on_error`` that makes windows and ends by itself."""
    path = tmp_path / "program.py"
    path.write_text(SCRIPT)
    return path


def test_without_on_error_each_kind_of_trouble_is_one_line_per_episode(
    cloud: CloudStandIn, api: Api, script: Path
) -> None:
    """An episode ends when a window of this program arrives."""
    cloud.answers.extend([401, 401, 503, 503, 422, None, None, None, None, 401])
    said = run_program(script, cloud.url, api.url, KEY, "6").splitlines()
    assert statuses(cloud) == [401, 401, 503, 503, 422, *[202] * 4, 401, 202, 202]
    assert [re.sub(r".*(status=401|answered \d+).*", r"\1", line) for line in said] == [
        "status=401",
        "answered 503",
        "answered 422",
        "status=401",
    ]


def test_every_program_with_a_refused_key_says_so_once(
    cloud: CloudStandIn, api: Api, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that meets a suspension that others have caused."""
    monkeypatch.setenv("RECOST_MAX_CONSECUTIVE_AUTH_FAILURES", "2")
    for number in range(1, 5):
        line, *more = run_program(script, cloud.url, api.url, "rc-bad-key", "0").splitlines()
        assert "api_key" in line
        assert "wait on disk" in line
        assert ["suspended" in also for also in more] == ([True] if number == 2 else [])
    assert statuses(cloud) == [401] * 3, "two, and one probe that the third program permits"


def test_on_error_is_called_on_a_thread_of_ours(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.extend([503, 401])
    with application(cloud, api) as app:
        app.window()
        app.window()
        app.wait_for(RecostError)
        app.wait_for(RecostAuthError)
    assert threading.get_ident() not in app.threads
    assert len(app.threads) == 1


def test_what_on_error_raises_is_contained(cloud: CloudStandIn, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[Exception] = []

    def on_error(error: Exception) -> None:
        calls.append(error)
        raise SystemError("a bug in the callback")

    cloud.answers.extend([503, 503])
    with caplog.at_level(logging.ERROR, "recost"), application(cloud, api, on_error=on_error) as app:
        app.window()
        app.window()
        wait_until(lambda: len(calls) == 2, what="both errors")
        assert app.window() == "ok"
    assert "a bug in the callback" in caplog.text


def test_the_workers_of_a_window_hear_of_it_and_the_others_do_not(cloud: CloudStandIn, api: Api) -> None:
    with worker(cloud, api) as first, worker(cloud, api) as second:
        assert first.window("/v1/own") == "ok"
        assert second.window("/v1/own") == "ok"
        cloud.answers.append(422)
        first.call("/v1/shared")
        assert second.window("/v1/shared") == "error"
        wait_until(lambda: len(first.heard()) == len(second.heard()) == 1, what="both to hear")
        cloud.answers.append(422)
        assert first.window("/v1/firsts") == "error"
        wait_until(lambda: len(first.heard()) == 2, what="the first to hear")
        assert second.window("/v1/seconds") == "ok"
        assert len(second.heard()) == 1
        assert {kind for kind, _ in first.heard()} == {"RecostError"}


def test_another_project_hears_nothing(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.append(503)
    with application(cloud, api) as app, worker(cloud, api, project_id="other") as other:
        assert app.window() == "error"
        app.wait_for(RecostError)
        assert other.window() == "ok"
        assert other.heard() == []


def test_of_a_burst_the_last_eight_are_told_and_the_rest_is_counted(cloud: CloudStandIn, api: Api) -> None:
    windows = 120
    cloud.script = lambda _: 422
    with application(cloud, api, max_buckets=1) as app:
        for number in range(windows):  # one bucket is all a window may have, so each call is one
            app.call(path=f"/v1/{chr(97 + number // 26)}{chr(97 + number % 26)}")
        assert app.flush()
        told, more = [], 0
        wait_until(lambda: _count(app) == windows, what=f"{windows} reports")
    for error in app.errors:
        match = re.match(r"(\d+) more reports", str(error))
        told += [] if match else [error]
        more += int(match[1]) if match else 0
    assert len(told) >= 8
    assert more > 0
    assert all(isinstance(error, RecostError) and error.status == 422 for error in told)
    assert len(posts(cloud)) == windows


def _count(app: Application) -> int:
    """Reports, those included that are only counted."""
    matches = [re.match(r"(\d+) more reports", str(error)) for error in app.errors]
    return sum(int(match[1]) if match else 1 for match in matches)


def test_windows_that_are_dropped_for_room_are_told_to_who_fills_the_spool(cloud: CloudStandIn, api: Api) -> None:
    """The windows that are dropped are the oldest, of programs that have ended."""
    cloud.script = lambda _: 503
    filling = {"spool_max_bytes": 1 << 20, "normalize_paths": False}
    with worker(cloud, api, **filling) as old:
        old.ask("calls", 1000, 1820, 1000)
        assert old.window("/v1/old") == "error"
    with worker(cloud, api, **filling) as new:
        new.ask("calls", 2000, 2200, 1000)
        assert new.window("/v1/new") == "error"
        wait_until(lambda: any("spool is full" in text for _, text in new.heard()), what="the report")
        cloud.script = None
        assert new.window("/v1/last") == "ok"
    assert {"/v1/new", "/v1/last"} <= set(paths(cloud))


def test_a_file_that_cannot_be_written_is_told_once_per_episode_as_what_it_is(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "telemetry"
    monkeypatch.setenv("RECOST_LOCAL_DIR", str(folder))
    app = Application("http://127.0.0.1:9", api, api_key=None)
    assert app.window("/v1/first") == "ok"
    os.rename(folder, tmp_path / "aside")
    folder.write_text("no folder any more")
    assert [app.window("/v1/second"), app.window("/v1/third")] == ["error", "error"]
    wait_until(lambda: app.errors, what="the error")
    folder.unlink()
    assert app.window("/v1/fourth") == "ok"
    (error,) = app.errors
    assert isinstance(error, NotADirectoryError)
    assert str(error).startswith(f"windows cannot be written to {folder}/")
    app.handle.dispose()


def test_delivery_goes_on_behind_a_slow_callback(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.extend([503, None, None])
    going_on = threading.Event()
    with application(cloud, api, on_error=lambda _: going_on.wait(60)) as app:
        assert app.window("/v1/first") == "error"
        assert app.window("/v1/second") == "ok"
        going_on.set()
    assert paths(cloud) == ["/v1/first", "/v1/second"]
