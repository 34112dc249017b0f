"""Each row of the table of answers, from a call in the application to what ``on_error`` and the service see."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

import recost
from examples.standins import CloudStandIn, Scripted
from examples.standins.cloud import Received
from recost.errors import RecostError, RecostRateLimitError
from tests.cloud.application import (
    KEY,
    SOON_MS,
    application,
    paths,
    pauses,
    posts,
    spooled,
    statuses,
    wait_for_posts,
)
from tests.harness import wait_until
from tests.processes.support import Api


def test_a_window_arrives_as_the_contract_says(cloud: CloudStandIn, api: Api) -> None:
    with application(cloud, api, environment="production") as app:
        app.call(3)
        assert app.flush()
        status = app.handle.last_flush_status
        assert status is not None
        assert (status.status, status.window_size) == ("ok", 1)
        assert abs(status.timestamp / 1000 - time.time()) < 60
    (received,) = posts(cloud)
    assert received.authorization == f"Bearer {KEY}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"] == f"recost-python/{recost.__version__}"
    assert received.key
    window = received.window
    assert (window["protocolVersion"], window["environment"]) == ("1.0", "production")
    assert window["metrics"][0]["requestCount"] == 3
    assert app.errors == []


def test_a_refused_connection_is_told_and_the_window_arrives_when_the_service_is_back(
    cloud: CloudStandIn, api: Api
) -> None:
    with application(cloud, api) as app:
        cloud.stop()
        assert app.window("/v1/first") == "error"
        (error,) = app.wait_for(RecostError)
        assert "no delivery to 127.0.0.1" in str(error)
        assert "wait on disk" in str(error)
        cloud.start()
        assert app.window("/v1/second") == "ok"
    assert paths(cloud) == ["/v1/first", "/v1/second"]
    assert app.errors == [error]


def test_a_flush_tries_what_was_put_back_at_once_also_without_a_new_window(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.extend([503, 503])
    with application(cloud, api) as app:
        assert app.window() == "error"
        assert app.flush()
        assert app.status == "error"
        assert len(posts(cloud)) == 2
        assert app.flush()
        assert app.status == "ok"
        assert len(posts(cloud)) == 3
        assert app.flush(0.0), "nothing is undelivered"
    assert paths(cloud) == ["/v1/things"]


def test_a_failure_of_the_service_is_told_and_the_window_arrives_later(cloud: CloudStandIn, api: Api) -> None:
    failures = [503, 500, 408, 409, 425]
    with application(cloud, api) as app:
        for count, status in enumerate(failures, 1):
            cloud.answers.append(status)
            assert app.window(f"/v1/first-{count}") == "error"
            assert [error.status for error in app.wait_for(RecostError, count)] == failures[:count]
            assert app.window(f"/v1/second-{count}") == "ok"
    assert paths(cloud) == [f"/v1/{which}-{count}" for count in range(1, 6) for which in ("first", "second")]
    for first, again in zip(posts(cloud)[::3], posts(cloud)[1::3]):
        assert (first.key, first.body) == (again.key, again.body)


def test_retries_come_with_growing_pauses_and_on_error_only_after_them(cloud: CloudStandIn, api: Api) -> None:
    cloud.script = lambda _: 503
    with application(cloud, api, max_retries=1, flush_interval_ms=SOON_MS) as app:
        app.call()
        wait_for_posts(cloud, 1)
        assert app.errors == []
        (error,) = app.wait_for(RecostError)
        assert error.status == 503
        wait_until(lambda: app.status == "error", what="the window to be put back")
    assert len({received.key for received in posts(cloud)}) == 1
    (pause,) = pauses(cloud)
    assert pause >= 1


def limit_once(cloud: CloudStandIn, form: str, seconds: int) -> None:
    """For the next POST; a date is one as far away from the moment of that answer."""

    def answer(_: Received) -> Scripted:
        cloud.script = None
        date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)
        return Scripted(429, retry_after=str(seconds) if form == "seconds" else date)

    cloud.script = answer


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_429_waits_as_long_as_it_says(cloud: CloudStandIn, api: Api, form: str) -> None:
    limit_once(cloud, form, 2)
    with application(cloud, api) as app:
        assert app.window("/v1/first") == "error"
        (error,) = app.wait_for(RecostRateLimitError)
        assert error.retry_after_ms <= 2000
        assert error.endpoint == "/projects/shop/telemetry"
        wait_until(lambda: app.status == "ok", what="the status")
    assert pauses(cloud)[0] >= error.retry_after_ms / 1000
    assert paths(cloud) == ["/v1/first"]
    assert app.errors == [error]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_429_waits_also_when_a_flush_is_asked_for(cloud: CloudStandIn, api: Api, form: str) -> None:
    limit_once(cloud, form, 600)
    with application(cloud, api) as app:
        assert app.window("/v1/first") == "error"
        (error,) = app.wait_for(RecostRateLimitError)
        assert 300_000 <= error.retry_after_ms <= 600_000
        assert app.window("/v1/second") == "error"
        assert statuses(cloud) == [429]
    assert app.errors == [error]


def test_a_retry_after_that_cannot_be_read_is_a_minute(cloud: CloudStandIn, api: Api) -> None:
    for project, value in (("missing", None), ("words", "soon"), ("empty", "")):
        cloud.answers.append(Scripted(429, retry_after=value))
        with application(cloud, api, project_id=project) as app:
            assert app.window() == "error"
            (error,) = app.wait_for(RecostRateLimitError)
            assert error.retry_after_ms == 60_000
            assert app.window() == "error"
        assert statuses(cloud, project) == [429]


def test_a_failure_with_retry_after_holds_up_a_flush_too(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.append(Scripted(503, retry_after="600"))
    with application(cloud, api, max_retries=3) as app:
        assert app.window("/v1/first") == "error"
        assert app.window("/v1/second") == "error"
        assert statuses(cloud) == [503]
    assert app.errors == []


def test_a_failure_with_retry_after_waits_as_long_as_it_says(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.append(Scripted(503, retry_after="2"))
    with application(cloud, api, max_retries=3) as app:
        assert app.window("/v1/first") == "error"
        wait_until(lambda: paths(cloud), what="the window")
    assert pauses(cloud)[0] >= 2
    assert app.errors == []


def test_what_the_service_will_not_take_is_parked_and_the_next_ones_go_on(cloud: CloudStandIn, api: Api) -> None:
    refusals = {422: "payload", 413: "payload", 400: "400", 451: "451"}
    with application(cloud, api) as app:
        for count, (status, hint) in enumerate(refusals.items(), 1):
            cloud.answers.append(status)
            assert app.window("/v1/first") == "error"
            error = app.wait_for(RecostError, count)[-1]
            assert error.status == status
            assert hint in str(error)
            assert app.window("/v1/second") == "ok"
        assert spooled("group_concat(status)", "parked") == "422,413,400,451"
    assert paths(cloud) == ["/v1/second"] * 4


def test_a_redirect_is_not_followed(cloud: CloudStandIn, api: Api) -> None:
    redirects = [301, 302, 303, 307, 308]
    with CloudStandIn(keys={KEY}) as elsewhere, application(cloud, api) as app:
        location = ("Location", f"{elsewhere.url}/projects/shop/telemetry")
        cloud.answers.extend(Scripted(status, headers=(location,)) for status in redirects)
        assert [app.window() for _ in redirects] == ["error"] * 5
        errors = app.wait_for(RecostError, 5)
        assert [error.status for error in errors] == redirects
        assert all("base_url" in str(error) for error in errors)
        assert app.window("/v1/next") == "ok"
        assert elsewhere.received == []
    assert paths(cloud) == ["/v1/next"]


def test_a_404_is_tried_three_times_then_parked_and_once_more_at_the_next_init(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.extend([404] * 3)
    with application(cloud, api, flush_interval_ms=SOON_MS) as app:
        app.call(path="/v1/first")
        errors = app.wait_for(RecostError, 3)
        assert {error.status for error in errors} == {404}
        assert "project" in str(errors[0])
        wait_until(lambda: spooled("sum(parked)") == 1, what="the window to be parked")
        assert all(pause >= SOON_MS / 1000 for pause in pauses(cloud))
        assert app.window("/v1/second") == "ok"
        assert paths(cloud) == ["/v1/second"]
        with application(cloud, api) as again:
            assert again.window("/v1/third") == "ok"
    assert paths(cloud) == ["/v1/second", "/v1/first", "/v1/third"]
    assert len({received.key for received in posts(cloud)[:3]}) == 1
