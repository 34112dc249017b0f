"""Refused keys, new keys, and the whole story of a service that has a bad day."""

from __future__ import annotations

import time

from examples.standins import CloudStandIn, Scripted
from recost.errors import RecostAuthError, RecostError, RecostFatalAuthError, RecostRateLimitError
from tests.cloud.application import (
    KEY,
    OTHER_KEY,
    SOON_MS,
    application,
    paths,
    pauses,
    posts,
    statuses,
    wait_for_posts,
)
from tests.harness import wait_until
from tests.processes.support import Api

BAD_KEY = "rc-a-bad-key-0123456789abcdef"


def test_a_refused_key_suspends_delivery_until_a_probe_or_another_key(cloud: CloudStandIn, api: Api) -> None:
    with application(cloud, api, api_key=BAD_KEY, flush_interval_ms=SOON_MS) as app:
        app.call(path="/v1/first")
        refusals = app.wait_for(RecostAuthError, 5)
        assert [(error.status, error.consecutive_failures) for error in refusals] == [(401, n) for n in range(1, 6)]
        (fatal,) = app.wait_for(RecostFatalAuthError)
        assert fatal.consecutive_failures == 5
        assert all(pause >= SOON_MS / 1000 for pause in pauses(cloud))
        assert app.status == "error"
        assert app.window("/v1/second") == "error"
        assert len(posts(cloud)) == 5, "nothing is sent while delivery is suspended"
        with application(cloud, api, api_key=BAD_KEY) as same:
            assert same.window("/v1/third") == "error"
            assert len(posts(cloud)) == 6, "one probe"
            (error,) = same.wait_for(RecostAuthError)
            assert error.consecutive_failures == 6
            assert same.window("/v1/fourth") == "error"
        with application(cloud, api, api_key=BAD_KEY) as soon:
            assert soon.window("/v1/fifth") == "error"
            assert len(posts(cloud)) == 6, "at most one a minute"
            soon.wait_for(RecostFatalAuthError)
            assert same.errors == [error], "who knows of the refused key is not told of the suspension as well"
        with application(cloud, api) as renewed:
            assert renewed.window("/v1/sixth") == "ok"
            assert renewed.errors == []
    assert paths(cloud) == [f"/v1/{which}" for which in ("first", "second", "third", "fourth", "fifth", "sixth")]
    assert len(app.errors) == 6


def test_max_consecutive_auth_failures_is_how_many_it_takes(cloud: CloudStandIn, api: Api) -> None:
    with application(cloud, api, api_key=BAD_KEY, max_consecutive_auth_failures=1) as app:
        assert app.window() == "error"
        app.wait_for(RecostAuthError)
        app.wait_for(RecostFatalAuthError)
        assert app.window() == "error"
    assert statuses(cloud) == [401]


def test_any_other_answer_resets_the_count(cloud: CloudStandIn, api: Api) -> None:
    cloud.answers.extend([401, 401, 503, 401])
    with application(cloud, api, max_consecutive_auth_failures=3) as app:
        assert [app.window() for _ in range(5)] == ["error"] * 4 + ["ok"]
        counts = [error.consecutive_failures for error in app.wait_for(RecostAuthError, 3)]
        assert counts == [1, 2, 1]
        assert app.of(RecostFatalAuthError) == []


def test_two_keys_of_one_project_share_its_windows_and_the_newest_counts(cloud: CloudStandIn, api: Api) -> None:
    cloud.keys.add(OTHER_KEY)
    with application(cloud, api) as first:
        assert first.window() == "ok"
        with application(cloud, api, api_key=OTHER_KEY) as second:
            assert second.window() == "ok"
    assert [received.authorization for received in posts(cloud)] == [f"Bearer {KEY}", f"Bearer {OTHER_KEY}"]


def test_a_service_with_a_bad_day_gets_every_window_once_and_none_too_early(cloud: CloudStandIn, api: Api) -> None:
    """It refuses connections, answers 503, then 429, then 401 until another key comes."""
    names = [f"/v1/{letter}" for letter in "abcdefghi"]
    moments = []
    with application(cloud, api, api_key=BAD_KEY, flush_interval_ms=SOON_MS) as app:
        cloud.stop()
        assert app.window(names[0]) == "error"
        app.wait_for(RecostError)
        cloud.answers.extend([503, Scripted(429, retry_after="2")])
        cloud.start()
        assert app.window(names[1]) == "error"
        assert [error.status for error in app.wait_for(RecostError, 2)] == [0, 503]
        assert app.window(names[2]) == "error"
        (limit,) = app.wait_for(RecostRateLimitError)
        assert limit.retry_after_ms == 2000
        assert app.window(names[3]) == "error"
        wait_for_posts(cloud, 7)
        refusals = app.wait_for(RecostAuthError, 5)
        assert [error.consecutive_failures for error in refusals] == [1, 2, 3, 4, 5]
        app.wait_for(RecostFatalAuthError)
        for name in names[4:8]:
            assert app.window(name) == "error"
        suspended_until = time.time()
        with application(cloud, api, api_key=KEY) as renewed:
            assert renewed.window(names[8]) == "ok"
            moments = [received.at_s for received in posts(cloud)]
            wait_until(lambda: len(paths(cloud)) == 9, what="every window")
            assert renewed.errors == []
    assert paths(cloud) == names, "every window once and in order"
    assert statuses(cloud) == [503, 429, *[401] * 5, *[202] * 9]
    assert len({received.key for received in posts(cloud) if received.stored}) == 9
    assert moments[2] - moments[1] >= 2, "Retry-After"
    assert all(after - before >= SOON_MS / 1000 for before, after in zip(moments[2:6], moments[3:7]))
    assert moments[7] >= suspended_until
    assert len(app.errors) == 2 + 1 + 5 + 1
