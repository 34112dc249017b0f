"""The recost service's stand-in: tests of delivery believe what it says it received."""

from __future__ import annotations

import time

import pytest
import requests

from examples.standins import CloudStandIn, Scripted

KEY = "rc-0123456789abcdef"


def window(start="2026-11-21T10:00:00.000Z", end="2026-11-21T10:00:30.000Z", calls=3):
    metric = {"provider": "openai", "requestCount": calls, "errorCount": 1, "estimatedCostCents": 6.0}
    return {"protocolVersion": "1.0", "windowStart": start, "windowEnd": end, "metrics": [metric]}


@pytest.fixture
def cloud():
    with CloudStandIn(keys=[KEY]) as made:
        yield made


def post(cloud, body=None, project="shop", key="frame-1", api_key=KEY):
    headers = {"Authorization": f"Bearer {api_key}", "Idempotency-Key": key}
    return requests.post(
        f"{cloud.url}/projects/{project}/telemetry",
        json=window() if body is None else body,
        headers=headers,
        timeout=10,
    )


def get(cloud, path, api_key=KEY):
    headers = {"Authorization": f"Bearer {api_key}"}
    return requests.get(f"{cloud.url}/projects/shop/{path}", headers=headers, timeout=10)


def test_a_window_is_kept_once_per_project_and_key(cloud):
    answers = [post(cloud), post(cloud), post(cloud, key="frame-2"), post(cloud, project="other")]
    assert [answer.status_code for answer in answers] == [202] * 4
    assert [answer.json()["duplicate"] for answer in answers] == [False, True, False, False]
    assert len(cloud.received) == 4
    assert len(cloud.unique_windows()) == 3
    assert len(cloud.unique_windows("shop")) == 2
    assert (cloud.calls("shop"), cloud.calls()) == (6, 9)
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4


def test_a_wrong_key_is_refused_and_a_new_one_taken_at_once(cloud):
    assert post(cloud, api_key="rc-wrong").status_code == 401
    assert get(cloud, "telemetry/recent", api_key="rc-wrong").status_code == 401
    cloud.keys = {"rc-wrong"}
    assert post(cloud, api_key="rc-wrong").status_code == 202
    assert [received.status for received in cloud.received] == [401, 202]
    assert len(cloud.unique_windows()) == 1


@pytest.mark.parametrize("body", [[], "x", {"protocolVersion": "2.0", "metrics": []}, {"protocolVersion": "1.0"}, 7])
def test_what_is_no_window_is_422(cloud, body):
    assert post(cloud, body).status_code == 422
    assert cloud.unique_windows() == []


def test_answers_are_scripted_one_by_one_and_then_as_usual(cloud):
    cloud.answers.extend([503, Scripted(429, retry_after="7"), None, Scripted(403, body=b"no", headers=(("A", "b"),))])
    answers = [post(cloud, key=f"frame-{n}") for n in range(5)]
    assert [answer.status_code for answer in answers] == [503, 429, 202, 403, 202]
    assert answers[1].headers["Retry-After"] == "7"
    assert (answers[3].content, answers[3].headers["A"]) == (b"no", "b")
    assert [received.key for received in cloud.received if received.stored] == ["frame-2", "frame-4"]


def test_a_script_answers_for_as_long_as_it_is_set(cloud):
    cloud.script = lambda received: 500 if received.key == "frame-1" else None
    assert [post(cloud).status_code, post(cloud, key="frame-2").status_code] == [500, 202]
    cloud.script = None
    assert post(cloud).status_code == 202


def test_an_answer_can_take_its_time(cloud):
    cloud.answers.append(Scripted(delay_s=0.3))
    started = time.monotonic()
    assert post(cloud).status_code == 202
    assert time.monotonic() - started >= 0.3


def test_a_stopped_service_refuses_and_comes_back_at_the_same_address(cloud):
    url = cloud.url
    post(cloud)
    cloud.stop()
    with pytest.raises(requests.ConnectionError):
        post(cloud, key="frame-2")
    cloud.start()
    assert cloud.url == url
    post(cloud, key="frame-2")
    assert len(cloud.unique_windows()) == 2


def test_recent_gives_the_newest_first(cloud):
    for number in range(12):
        post(cloud, window(calls=number), key=f"frame-{number}")
    counts = [w["metrics"][0]["requestCount"] for w in get(cloud, "telemetry/recent").json()["windows"]]
    assert counts == list(range(11, 1, -1))
    assert len(get(cloud, "telemetry/recent?limit=2").json()["windows"]) == 2


def test_analytics_sums_the_windows_in_between(cloud):
    post(cloud)
    post(cloud, window("2026-11-21T11:00:00.000Z", "2026-11-21T11:00:30.000Z"), key="frame-2")
    everything = get(cloud, "analytics").json()["providers"]["openai"]
    assert everything == {"requestCount": 6, "errorCount": 2, "estimatedCostCents": 12.0}
    part = get(cloud, "analytics?from=2026-11-21T10:30:00.000Z&to=2026-11-21T12:00:00.000Z").json()
    assert part["providers"]["openai"]["requestCount"] == 3


def test_other_paths_are_404(cloud):
    assert get(cloud, "nothing").status_code == 404
    assert requests.get(cloud.url, timeout=10).status_code == 404
